"""How the demo's small models are sampled, unless a command says otherwise.

Without imports: commands read it before they load any model.
"""

# On 96 held-out layouts that no published number uses (302 instances), 10 steps at a guidance of 2.5 gave
# 91.1 % judged right and 51.7 % drawn well, 20 steps 90.7 % and 51.3 %, 20 at 4.0 91.4 % and 49.7 %.
STEPS, GUIDANCE = 10, 2.5
