"""Demo Pictures: drawn dolls that come with the pack, so that a workflow runs as it is loaded."""

from __future__ import annotations

from comfy_api.latest import io

from ..ootd_core.checkpoints.catalogue import DEMO_SAMPLES
from ..ootd_core.images.files import load_image
from .inputs import check_choices
from .pictures import to_image
from .search_words import searched_as
from .sockets import MENU


class DemoPictures(io.ComfyNode):
    """Reads two files of demo/samples; Load Image takes its place for pictures of one's own."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        names = sorted(
            path.name.removesuffix("-person.png") for path in DEMO_SAMPLES.glob("*-person.png")
        )
        return io.Schema(
            node_id="OOTD_DemoPictures",
            display_name="Demo Pictures",
            category=MENU,
            **searched_as("example pictures", "示例图片"),
            description="A drawn person and a drawn garment that come with this pack, for trying "
            "workflows with the built-in checkpoint. Use Load Image for your own pictures.",
            inputs=[
                io.Combo.Input(
                    "person", options=names, tooltip="Which of the drawn persons to dress."
                ),
                io.Combo.Input(
                    "garment",
                    options=names,
                    tooltip="Whose new garment to take; the name says its category.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="person", tooltip="256x192."),
                io.Image.Output(display_name="garment", tooltip="256x192, lying flat on white."),
            ],
        )

    @classmethod
    def validate_inputs(cls, person: str | None, garment: str | None) -> bool:
        check_choices(cls, person=person, garment=garment)
        return True

    @classmethod
    def execute(cls, person: str, garment: str) -> io.NodeOutput:
        check_choices(cls, person=person, garment=garment)
        return io.NodeOutput(
            to_image([load_image(DEMO_SAMPLES / f"{person}-person.png")]),
            to_image([load_image(DEMO_SAMPLES / f"{garment}-garment.png")]),
        )
