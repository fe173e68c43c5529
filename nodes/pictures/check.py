import logging
from collections.abc import Sequence
from typing import Any

import torch
from comfy_api.latest import io
from torch import Tensor

from ...ifadapter_core.checking.matching import MATCH_IOU
from ...ifadapter_core.checking.picture import marked_pictures
from ...ifadapter_core.checking.report import report
from ...ifadapter_core.checking.result import check
from ...ifadapter_core.crops.sources import one_each
from ...ifadapter_core.layout import Layout
from ..inputs import only_value, to_image, to_pictures
from ..types import BoxesType, LayoutType


class IFAdapterCheck(io.ComfyNode):
    """Checks which instances of a layout came out right in a picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterCheck",
            display_name="IFAdapter Check",
            category="IFAdapter/picture",
            description="Checks which instances came out right: found at their boxes by a detector, accepted "
            "by a vision-language model, or both. Marks them in the picture and in the layout editor.",
            search_aliases=[
                "evaluate",
                "score",
                "verify",
                "success rate",
                "best of batch",
                "pick the best image",
                "detection",
                "quality",
                "judge",
                "best of n",
            ],
            is_input_list=True,
            is_output_node=True,
            inputs=[
                io.Image.Input("image", tooltip="The pictures to check: a batch or a list."),
                LayoutType.Input(
                    "layout", tooltip="The layout of the pictures: one for all, or a list with one for each."
                ),
                BoxesType.Input(
                    "boxes",
                    optional=True,
                    extra_dict={"forceInput": True},  # else the frontend adds its box editor as a widget
                    tooltip="What a detector found: a list with one entry for each description, each with a "
                    "frame for each image, or one entry whose boxes have labels. Boxes are in pixels of the "
                    "image.",
                ),
                io.String.Input(
                    "answers",
                    optional=True,
                    force_input=True,
                    tooltip="Answers of a vision-language model as a list: yes or no, whether each instance "
                    "fits its description, image after image. An answer that is neither counts as not right.",
                ),
                io.Float.Input(
                    "iou",
                    default=MATCH_IOU,
                    min=0.05,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="Overlap (intersection over union) that a detected box needs with the box of the "
                    "layout to count as in place. The paper uses 0.5.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="picture",
                    tooltip="The pictures with their marks: right (solid outline, tick), wrong (double "
                    "outline, cross), not found (dashed outline, ring).",
                ),
                io.String.Output(
                    display_name="report", tooltip="The result for each instance of each image, as text."
                ),
                io.Float.Output(
                    display_name="success_rate",
                    tooltip="Fraction of right instances over all images, 0 to 1.",
                ),
                io.Boolean.Output(
                    display_name="all_right", tooltip="Whether all instances of all images are right."
                ),
                io.Int.Output(
                    display_name="best_image",
                    tooltip="Number in the batch, from 0, of the image with the most right instances.",
                ),
                LayoutType.Output(
                    display_name="failed",
                    tooltip="The layout with those instances alone that are not right in the best image, for "
                    "a detail pass. It has no instances if all are right.",
                ),
                io.Image.Output(
                    display_name="failed_image",
                    tooltip="The best image alone, without marks: the one that failed belongs to.",
                ),
                io.Boolean.Output(
                    display_name="best_right",
                    tooltip="Whether all instances of the best image are right: failed has no instances. For "
                    "a switch that leaves out the detail pass.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: Sequence[Tensor],
        layout: Sequence[Layout],
        boxes: Sequence[Any] | None = None,
        answers: Sequence[str] | None = None,
        iou: Sequence[float] = (MATCH_IOU,),
    ) -> io.NodeOutput:
        pictures = [picture for batch in image for picture in to_pictures(batch)]
        limit, layouts = only_value("iou", iou), one_each(layout, image, "layouts")
        result = check([picture.size for picture in pictures], layouts, boxes, answers, limit)
        for notice in result.notices:
            logging.warning("IFAdapter Check: %s", notice)
        marked = torch.cat([to_image(picture) for picture in marked_pictures(pictures, result.images)])
        best = [picture[None] for batch in image for picture in batch][result.best_image]
        text = report(result)
        return io.NodeOutput(
            marked,
            text,
            result.success_rate,
            result.all_right,
            result.best_image,
            result.failed,
            best,
            not result.failed.instances,
            ui={"ifadapter_marks": result.marks, "text": [text]},
        )
