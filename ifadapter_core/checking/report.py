"""The result of a check as text."""

from __future__ import annotations

from .result import MARK_WORDS, CheckResult, ImageResult, InstanceResult, shown


def report(result: CheckResult) -> str:
    """A block for each image with a line for each instance, then the summary and the notices."""
    blocks = [_image(number, image, result) for number, image in enumerate(result.images, 1)]
    return "\n\n".join([*blocks, "\n".join([*_summary(result), *result.notices])])


def _image(number: int, image: ImageResult, result: CheckResult) -> str:
    lines = [f"Image {number}: {image.count('right')} of {len(image.instances)} right"]
    for index, instance in enumerate(image.instances, 1):
        lines.append(f"  {index}  {MARK_WORDS[instance.mark]:<9}  {instance.description}")
        lines += [f"     {reason}" for reason in _reasons(instance, result)]
    return "\n".join(lines)


def _reasons(instance: InstanceResult, result: CheckResult) -> list[str]:
    """What the mark of an instance is based on."""
    reasons = []
    if result.has_boxes:
        if instance.found is not None:
            reasons.append(f"detected in its box, IoU {instance.iou:.2f}")
        elif not instance.is_named:
            reasons.append("the description names no label of the detector")
        elif instance.iou > 0:
            reasons.append(
                f"detected elsewhere, or by another instance; the largest IoU is {instance.iou:.2f}"
            )
        else:
            reasons.append("not detected at its box")
    if instance.answer is not None:
        kind = {True: "yes", False: "no", None: "neither yes nor no"}[instance.answer.fits]
        text = f" ({shown(instance.answer)})" if instance.answer.fits is None else ""
        reasons.append(f"answer: {kind}{text}")
    return reasons


def _summary(result: CheckResult) -> list[str]:
    lines = [f"Success rate: {100 * result.success_rate:.1f} % ({result.successes} of {result.total})"]
    if len(result.images) > 1:
        lines.append(f"Best image: {result.best_image + 1} of {len(result.images)}")
    return lines
