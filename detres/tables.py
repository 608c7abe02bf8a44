"""All that a config may name, and where each is found: to add one, write its file and add its line here.

What an entry has to be stands above its table; the names of backbones are in backbones/architectures.py.
"""

from __future__ import annotations

from detres.lookup import Table

# What a task's config may hold: a pydantic schema.
SCHEMAS: Table = Table(
    {
        "detection": "detres.config.detection_schema:Config",
        "classification": "detres.config.classification_schema:ClassificationConfig",
        "localization": "detres.config.localization_schema:LocalizationConfig",
    }
)

# What a task contributes to a run: tasks.runs.parts.Training.
TRAININGS: Table = Table(
    {
        "detection": "detres.tasks.detection.training:DETECTION",
        "classification": "detres.tasks.classification.training:CLASSIFICATION",
        "localization": "detres.tasks.localization.training:LOCALIZATION",
    }
)

# What it contributes to a dry run: (config, weights, device, reporter, data_is_stated) -> tasks.runs.parts.DryParts.
DRY_RUNS: Table = Table(
    {
        "detection": "detres.tasks.detection.dry_run:detection_dry_parts",
        "classification": "detres.tasks.classification.dry_run:classification_dry_parts",
        "localization": "detres.tasks.localization.dry_run:localization_dry_parts",
    }
)

# What the weights file of a task's model says of itself: a subclass of backbones.weights.model_settings.ModelSettings.
SETTINGS: Table = Table(
    {
        "detection": "detres.detection.files:DetectorSettings",
        "classification": "detres.classification.files:ClassifierSettings",
        "localization": "detres.localization.files:LocalizerSettings",
    }
)

# Where such a file is: (run folder, checkpoint, file or tag) -> its path.
LOCATORS: Table = Table(
    {
        "detection": "detres.conversion.published:locate_detector",
        "classification": "detres.classification.published:locate_classifier",
        "localization": "detres.localization.files:locate_localizer",
    }
)

# How its models are measured: (opened models, tasks.runs.evaluation_places.Asked, …) -> the content of metrics.json.
EVALUATIONS: Table = Table(
    {
        "detection": "detres.tasks.detection.evaluation:evaluate_detector",
        "classification": "detres.tasks.classification.evaluation:evaluate_classifier",
        "localization": "detres.tasks.localization.evaluation:evaluate_localizer",
    }
)

# How a task's data are read: data.formats.format.Format.
DETECTION_FORMATS: Table = Table(
    {
        "coco": "detres.data.formats.coco:COCO",
        "voc": "detres.data.formats.voc:VOC",
        "yolo": "detres.data.formats.yolo:YOLO",
        "csv": "detres.data.formats.labels.csv.reading:CSV",
        "labelme": "detres.data.formats.labels.labelme:LABELME",
        "cvat": "detres.data.formats.labels.cvat:CVAT",
        "darknet": "detres.data.formats.labels.darknet:DARKNET",
        "labelstudio": "detres.data.formats.labels.labelstudio:LABELSTUDIO",
        "createml": "detres.data.formats.labels.createml:CREATEML",
        "openimages": "detres.data.formats.labels.openimages:OPENIMAGES",
        "imagenet_det": "detres.data.formats.imagenet_det:IMAGENET_DET",
        "shapes": "detres.data.formats.shapes:SHAPES_DETECTION",
    }
)
CLASSIFICATION_FORMATS: Table = Table(
    {
        "imagenet": "detres.data.formats.imagenet:IMAGENET",
        "folder": "detres.data.formats.class_folders:CLASS_FOLDERS",
        "cifar10": "detres.data.formats.cifar10:CIFAR10",
        "webdataset": "detres.data.formats.tar_shards:SHARDS",
        "shapes": "detres.data.formats.shapes:SHAPES_CLASSES",
    }
)
LOCALIZATION_FORMATS: Table = Table(
    {
        "imagenet": "detres.data.formats.imagenet:IMAGENET_LOC",
        "shapes": "detres.data.formats.shapes:SHAPES_LOCALIZED",
    }
)

# What moves the weights: (parameter groups, lr, and by keyword what it heeds of momentum, nesterov and betas).
OPTIMIZERS: Table = Table(
    {
        "sgd": "detres.training.optimizers:sgd",
        "adamw": "detres.training.optimizers:adamw",
        "lamb": "detres.training.optimizers:lamb",
    }
)

# How the rate changes: (training.schedules.Rates, its own parameters by keyword) -> training.schedules.Schedule.
SCHEDULES: Table = Table(
    {
        "constant": "detres.training.schedules:constant",
        "step": "detres.training.schedules:step",
        "cosine": "detres.training.schedules:cosine",
        "poly": "detres.training.schedules:poly",
        "plateau": "detres.training.reactive_schedules:plateau",
    }
)

# Whom a run tells of itself: () -> training.logging.logger.Logger.
LOGGERS: Table = Table(
    {
        "json": "detres.training.logging.metric_log:MetricLog",
        "text": "detres.training.logging.text_log:TextLog",
        "tensorboard": "detres.training.logging.tensorboard_log:TensorBoardLog",
        "csv": "detres.training.logging.csv_log:CsvLog",
        "wandb": "detres.training.logging.wandb_log:WandbLog",
        "mlflow": "detres.training.logging.mlflow_log:MlflowLog",
    }
)

# Where a detector's features come from: (backbone, …) -> detection.model.layouts.Layout.
LAYOUTS: Table = Table(
    {
        "c4": "detres.detection.model.layouts:c4",
        "dc5": "detres.detection.model.layouts:dc5",
        "fpn": "detres.detection.model.layouts:fpn",
    }
)

# How predicted boxes, and an anchor's logit, are held against what they should be: detection/model/named_losses.py.
BOX_LOSSES: Table = Table(
    {
        "smooth_l1": "detres.detection.model.losses:smooth_l1",
        "giou": "detres.detection.model.losses:giou",
    }
)
OBJECTNESS_LOSSES: Table = Table(
    {
        "cross_entropy": "detres.detection.model.losses:binary_cross_entropy",
    }
)

# The norm behind a backbone's convolutions: (channels, eps=…) -> nn.Module.
NORMS: Table = Table(
    {
        "batch": "torch.nn:BatchNorm2d",
        "frozen": "detres.backbones.norms:FrozenBatchNorm",
        "sync": "torch.nn:SyncBatchNorm",
        "group": "detres.backbones.norms:group_norm",
    }
)

# The norm behind the convolutions of an FPN and of a box head, if there is one: (channels) -> nn.Module.
HEAD_NORMS: Table = Table(
    {
        "batch": "torch.nn:BatchNorm2d",
        "group": "detres.detection.model.box_heads:group_norm",
    }
)

# How whole detections of several looks at an image become those of one (maxout merges features instead): (views, and
# by keyword those arguments of detection.testing.fusion.fuse that it heeds) -> detection.testing.fusion.View.
FUSIONS: Table = Table(
    {
        "nms": "detres.detection.testing.fusion:merge_by_nms",
        "soft_nms": "detres.detection.testing.fusion:merge_by_soft_nms",
        "soft_nms_gaussian": "detres.detection.testing.fusion:merge_by_gaussian_soft_nms",
        "vote": "detres.detection.testing.fusion:merge_by_votes",
        "wbf": "detres.detection.testing.fusion:merge_by_wbf",
    }
)
