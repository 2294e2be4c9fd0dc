"""The bundled workflows as graphs in code; `python -m workflows.make` writes their files."""

from __future__ import annotations

from ootd_core.sampling import SPEEDS, Speed
from workflows.stages import (
    DRESS,
    FULL_BODY,
    MINI,
    ONLY,
    RESULT,
    SIZE,
    START,
    Graph,
    Lane,
    decode_stages,
    dress_stages,
    fuse_stage,
    garment_stages,
    person_stages,
    sample_stage,
)

SHIFTED = Lane(column=2)
OPENPOSE_CONTROLNET = {
    "name": "control_v11p_sd15_openpose_fp16.safetensors",
    "url": "https://huggingface.co/comfyanonymous/ControlNet-v1-1_fp16_safetensors/resolve/main/"
    "control_v11p_sd15_openpose_fp16.safetensors",
    "directory": "controlnet",
}


def _start(person: str, garment: str, note: str, note_zh: str) -> Graph:
    graph = Graph(note=note, note_zh=note_zh)
    graph.add("pictures", "OOTD_DemoPictures", 0, START, person=person, garment=garment)
    graph.add(
        *("load", "OOTD_ModelLoader", 0, START),
        checkpoint=MINI,
        variant=FULL_BODY,
        weight_dtype="auto",
    )
    return graph


def one_garment(person: str, category: str, note: str, note_zh: str) -> Graph:
    """The separate stages for one person and one garment."""
    graph = _start(person, person, note, note_zh)
    garment_stages(graph, ("pictures", 1), category)
    person_stages(graph, ("pictures", 0), ("pictures", 1), category)
    dress_stages(graph, ("pictures", 0))
    return graph


def quick_start() -> Graph:
    graph = Graph(
        note="The whole pipeline in one node. The other templates show its stages.",
        note_zh="整个流程集中在一个节点里,其他模板展示它的各个阶段。",
        app=(("pictures", "person"), ("pictures", "garment"), ("tryon", "category")),
    )
    graph.add(
        "pictures", "OOTD_DemoPictures", 0, "Pictures 图像", person="1-upper", garment="1-upper"
    )
    graph.add(
        "tryon",
        "OOTD_TryOn",
        1,
        DRESS,
        person=("pictures", 0),
        garment=("pictures", 1),
        checkpoint=MINI,
        variant=FULL_BODY,
        category="upper",
        size=SIZE,
        mask_mode="auto",
        seed=1,
        steps=20,
        cfg=2.0,
        sampler_name="uni_pc",
        scheduler="normal",
        weight_dtype="auto",
    )
    graph.add("save", "SaveImage", 2, RESULT, images=("tryon", 0), filename_prefix="tryon")
    return graph


def upper_body() -> Graph:
    graph = one_garment(
        "1-upper",
        "upper",
        "An upper garment, every stage of the pipeline as a node of its own.",
        "一件上装,流程的每个阶段各是一个节点。",
    )
    graph.app = (
        ("pictures", "person"),
        ("pictures", "garment"),
        ("mask", "mode"),
        ("sample", "seed"),
        ("sample", "cfg"),
    )
    return graph


def dress() -> Graph:
    graph = one_garment(
        "5-dress",
        "dress",
        "A dress. The mask mode 'auto' hides what is worn and, by the outline of the dress's "
        "picture, makes room for the dress: pink and blue in the preview.",
        "一件连衣裙。遮罩模式“auto”遮住旧衣服,并按连衣裙图像的轮廓为新裙子留出位置:预览中分别为粉色和蓝色。",
    )
    return graph


def full_outfit() -> Graph:
    graph = _start(
        "1-upper",
        "1-upper",
        "Two garments, one after the other: an upper one, and on the result a lower one. Both "
        "begin with the loaded denoiser, not with the fused one.",
        "两件服装依次试穿:先上装,再在结果上试穿下装。两次都从加载的去噪模型开始,而不是从融合后的模型开始。",
    )
    graph.add("more", "OOTD_DemoPictures", 0, START, person="3-lower", garment="3-lower")
    first, second = Lane(suffix="_1"), Lane(suffix="_2", row=1)
    garment_stages(graph, ("pictures", 1), "upper", first)
    person_stages(graph, ("pictures", 0), ("pictures", 1), "upper", first)
    dress_stages(graph, ("pictures", 0), first, save="")
    garment_stages(graph, ("more", 1), "lower", second)
    person_stages(graph, ("decode_1", 0), ("more", 1), "lower", second)
    dress_stages(graph, ("decode_1", 0), second, save="outfit")
    return graph


POSE = (
    '{"canvas_width": 192, "canvas_height": 256, "people": [{"pose_keypoints_2d": ['
    "96,45,1, 96,68,1, 62,70,1, 48,118,1, 88,166,1, 122,70,1, 138,122,1, 150,176,1, 74,180,1, "
    "70,220,1, 68,255,0, 112,180,1, 116,220,1, 118,255,0, 88,36,1, 104,36,1, 0,0,0, 0,0,0]}]}"
)


def own_mask_and_pose() -> Graph:
    graph = _start(
        "1-upper",
        "1-upper",
        "A mask and a pose of your own. The pose is OpenPose JSON in Detect Body Pose (any node "
        "that gives POSE_KEYPOINT does as well); the mask, here two core nodes, is added to the "
        "generated one. Load Image (as Mask) brings a painted one; mask_use 'replace' takes it "
        "alone.",
        "使用自己的遮罩和姿态。姿态是“检测人体姿态”中的 OpenPose JSON"
        "(任何输出 POSE_KEYPOINT 的节点也可以);"
        "这里的遮罩由两个核心节点生成,并加到自动生成的遮罩上。手绘的遮罩用“加载图像(作为遮罩)”载入;"
        "mask_use 选 replace 时只用它。",
    )
    own = "Your mask 你的遮罩"
    graph.add("black", "SolidMask", 1, own, value=0.0, width=192, height=256)
    graph.add("white", "SolidMask", 1, own, value=1.0, width=70, height=40)
    graph.add(
        *("painted", "MaskComposite", 1, own),
        destination=("black", 0),
        source=("white", 0),
        x=60,
        y=140,
        operation="add",
    )
    garment_stages(graph, ("pictures", 1), "upper", SHIFTED)
    person_stages(
        graph,
        ("pictures", 0),
        ("pictures", 1),
        "upper",
        SHIFTED,
        openpose_json=POSE,
        mask=("painted", 0),
        mask_use="add",
    )
    dress_stages(graph, ("pictures", 0), SHIFTED, save="own_mask")
    return graph


def swap_the_sampler() -> Graph:
    graph = _start(
        "2-upper",
        "2-upper",
        "Fused Denoiser gives a MODEL, two CONDITIONINGs and a LATENT like any other: here with "
        "the separate nodes of custom sampling.",
        "“融合去噪”像其他模型一样给出 MODEL、两个 CONDITIONING 和 LATENT:"
        "这里接的是自定义采样的各个节点。",
    )
    garment_stages(graph, ("pictures", 1), "upper")
    person_stages(graph, ("pictures", 0), ("pictures", 1), "upper")
    fuse_stage(graph)
    graph.add("noise", "RandomNoise", 4, DRESS, noise_seed=1)
    graph.add("select", "KSamplerSelect", 4, DRESS, sampler_name="dpmpp_2m")
    graph.add(
        *("guider", "CFGGuider", 5, DRESS),
        model=("fuse", 0),
        positive=("fuse", 1),
        negative=("fuse", 2),
        cfg=2.0,
    )
    graph.add(
        *("sigmas", "BasicScheduler", 5, DRESS),
        model=("fuse", 0),
        scheduler="karras",
        steps=15,
        denoise=1.0,
    )
    graph.add(
        *("sample", "SamplerCustomAdvanced", 5, DRESS),
        noise=("noise", 0),
        guider=("guider", 0),
        sampler=("select", 0),
        sigmas=("sigmas", 0),
        latent_image=("fuse", 3),
    )
    decode_stages(graph, ("pictures", 0), ONLY, 6, ("sample", 0), "swapped")
    return graph


def fast() -> Graph:
    graph = _start(
        "6-dress",
        "6-dress",
        "A picture in a third of the time: seven steps at noise levels that were chosen for few of "
        "them (Align Your Steps). Faster still: guidance_start and guidance_end of Fused Denoiser "
        "leave the guidance out of a part of the steps.",
        "只用三分之一的时间:七步采样,噪声水平专为少步数选定(Align Your Steps)。"
        "还可以更快:用“融合去噪”的 guidance_start 和 guidance_end 让一部分步骤不做引导。",
    )
    garment_stages(graph, ("pictures", 1), "dress")
    person_stages(graph, ("pictures", 0), ("pictures", 1), "dress")
    fuse_stage(graph)
    steps, _, _ = SPEEDS[Speed.FAST]
    graph.add("select", "KSamplerSelect", 4, DRESS, sampler_name="dpmpp_2m")
    graph.add(
        *("sigmas", "AlignYourStepsScheduler", 4, DRESS), model_type="SD1", steps=steps, denoise=1.0
    )
    graph.add(
        *("sample", "SamplerCustom", 5, DRESS),
        model=("fuse", 0),
        add_noise=True,
        noise_seed=1,
        cfg=2.0,
        positive=("fuse", 1),
        negative=("fuse", 2),
        sampler=("select", 0),
        sigmas=("sigmas", 0),
        latent_image=("fuse", 3),
    )
    decode_stages(graph, ("pictures", 0), ONLY, 6, ("sample", 0), "fast")
    graph.app = (
        ("pictures", "person"),
        ("pictures", "garment"),
        ("sigmas", "steps"),
        ("sample", "noise_seed"),
    )
    return graph


def garment_grid() -> Graph:
    graph = _start(
        "1-upper",
        "1-upper",
        "One person in several garments: a batch of garments makes a batch of pictures. Add more "
        "with Batch Images.",
        "一个人试穿多件服装:一批服装得到一批图像。用“图像批次”可以继续添加。",
    )
    graph.add("more", "OOTD_DemoPictures", 0, START, person="2-upper", garment="2-upper")
    graph.add("batch", "ImageBatch", 0, START, image1=("pictures", 1), image2=("more", 1))
    garment_stages(graph, ("batch", 0), "upper")
    person_stages(graph, ("pictures", 0), ("batch", 0), "upper")
    dress_stages(graph, ("pictures", 0), save="grid")
    return graph


def lora_and_controlnet() -> Graph:
    graph = _start(
        "2-upper",
        "2-upper",
        "Where a LoRA and a ControlNet of Stable Diffusion 1.5 go. Their nodes are bypassed: "
        "choose your files in them, then select them and press Ctrl+B.",
        "Stable Diffusion 1.5 的 LoRA 和 ControlNet 接在哪里。这些节点已被忽略:"
        "先在其中选择文件,再选中它们并按 Ctrl+B。",
    )
    garment_stages(graph, ("pictures", 1), "upper")
    person_stages(graph, ("pictures", 0), ("pictures", 1), "upper")
    graph.add(
        *("lora", "LoraLoaderModelOnly", 4, DRESS),
        bypassed=True,
        model=("load", 0),
        lora_name="choose a LoRA",
        strength_model=1.0,
    )
    fuse_stage(graph, denoiser=("lora", 0))
    graph.add(
        *("control_load", "ControlNetLoader", 5, DRESS),
        bypassed=True,
        models=(OPENPOSE_CONTROLNET,),
        control_net_name=OPENPOSE_CONTROLNET["name"],
    )
    graph.add(
        *("control", "ControlNetApplyAdvanced", 5, DRESS),
        bypassed=True,
        positive=("fuse", 1),
        negative=("fuse", 2),
        control_net=("control_load", 0),
        image=("pose", 1),
        strength=1.0,
        start_percent=0.0,
        end_percent=1.0,
    )
    sample_stage(graph, ONLY, 5, ("control", 0), ("control", 1))
    decode_stages(graph, ("pictures", 0), ONLY, 6, ("sample", 0), "wired")
    return graph


def large_picture() -> Graph:
    graph = _start(
        "2-upper",
        "2-upper",
        "A large picture that is not 3:4: the person is found and cropped to, dressed at the size "
        "that the checkpoint was trained at, and pasted back. Outside the mask every pixel is the "
        "picture's. (The nodes of the group make such a picture of a small doll, so what is "
        "redrawn is as coarse as the doll was; put Load Image in their place.)",
        "一张不是 3:4 的大图:找到人物并裁剪,按模型训练时的尺寸试穿,再贴回原处。"
        "遮罩之外每个像素都与原图相同。"
        "(该分组中的节点用一个小人偶拼出这样的大图,因此重绘的部分和人偶一样粗略;请换成“加载图像”。)",
    )
    large = "Large picture 大图"
    graph.add(
        *("large", "ImageScale", 1, large),
        image=("pictures", 0),
        upscale_method="lanczos",
        width=768,
        height=1024,
        crop="disabled",
    )
    # The doll's own backdrop, drawn out to both sides.
    graph.add(*("strip", "ImageCrop", 1, large), image=("large", 0), width=8, height=1024, x=0, y=0)
    graph.add(
        *("backdrop", "ImageScale", 1, large),
        image=("strip", 0),
        upscale_method="bilinear",
        width=1536,
        height=1024,
        crop="disabled",
    )
    graph.add(
        *("photo", "ImageCompositeMasked", 1, large),
        destination=("backdrop", 0),
        source=("large", 0),
        x=420,
        y=0,
        resize_source=False,
    )
    graph.add("find", "OOTD_HumanParser", 1, large, image=("photo", 0), checkpoint=MINI)
    garment_stages(graph, ("pictures", 1), "upper", SHIFTED)
    person_stages(graph, ("photo", 0), ("pictures", 1), "upper", SHIFTED)
    graph.nodes["fit"].inputs["label_map"] = ("find", 0)
    dress_stages(graph, ("photo", 0), SHIFTED, save="photo")
    return graph


GRAPHS = {
    graph.__name__: graph
    for graph in (
        quick_start,
        upper_body,
        dress,
        fast,
        full_outfit,
        garment_grid,
        large_picture,
        own_mask_and_pose,
        swap_the_sampler,
        lora_and_controlnet,
    )
}
"""In the order in which ComfyUI offers them; see nodes/template_order.py."""
