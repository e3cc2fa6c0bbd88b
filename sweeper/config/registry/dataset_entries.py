"""Datasets by name, with the sizes and checksums that they must have."""

from collections.abc import Mapping

from sweeper.config.registry.entries import DatasetEntry, DatasetForm

DATASETS: Mapping[str, DatasetEntry] = {
    "digits": DatasetEntry(
        summary="8x8 digits, bundled with scikit-learn",
        loader="sweeper.training.datasets:read_digits",
        bundled=True,
        shape=(1, 8, 8),
        classes=10,
        train=1137,
        validation=300,
        test=360,
    ),
    "mnist": DatasetEntry(
        summary="28x28 handwritten digits (LeCun et al. 1998), through torchvision",
        loader="sweeper.training.datasets:read_mnist",
        shape=(1, 28, 28),
        classes=10,
        train=50_000,
        validation=10_000,
        test=10_000,
        torchvision="MNIST",
        hash="31c7780da6a532fd815c23c44a6f4acd6922f36022b7f12e1828d79b0a7a9eb7",
        checksums={
            "train-images-idx3-ubyte": (
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
            ),
            "train-labels-idx1-ubyte": (
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
            ),
            "t10k-images-idx3-ubyte": (
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
            ),
            "t10k-labels-idx1-ubyte": (
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
            ),
        },
    ),
    "fashion-mnist": DatasetEntry(
        summary="28x28 pictures of clothes (Xiao et al. 2017), through torchvision",
        loader="sweeper.training.datasets:read_fashion_mnist",
        shape=(1, 28, 28),
        classes=10,
        train=50_000,
        validation=10_000,
        test=10_000,
        torchvision="FashionMNIST",
        downloads={
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
}

DATASET_FORMS: Mapping[str, DatasetForm] = {
    "arrays": DatasetForm(
        summary="a file of one's own: arrays (.npz) or a table (.csv, .parquet)",
        loader="sweeper.training.array_files:read_arrays",
        keys={"file": True, "test_file": False, "target": False, "standardise": False},
    ),
    "images": DatasetForm(
        summary="a folder of one's own pictures, PNG or JPEG, one folder a class",
        loader="sweeper.training.image_folder:read_images",
        keys={"folder": True, "size": False, "channels": False},
    ),
}
"""Datasets of one's own that need no code."""
