"""Datasets by name, with the sizes and checksums that they must have."""

from collections.abc import Mapping

from sweeper.config.registry.entries import DatasetEntry, DatasetForm

DATASETS: Mapping[str, DatasetEntry] = {
    "digits": DatasetEntry(
        summary="8x8 digits, bundled with scikit-learn",
        loader="sweeper.training.bundled_datasets:read_digits",
        hash_of_parts=True,
        bundled=True,
        shape=(1, 8, 8),
        classes=10,
        train=1137,
        validation=300,
        test=360,
    ),
    "wine": DatasetEntry(
        summary="table of 13 measurements of wines, bundled with scikit-learn",
        loader="sweeper.training.bundled_datasets:read_wine",
        bundled=True,
        shape=(13,),
        classes=3,
        train=114,
        validation=28,
        test=36,
    ),
    "breast-cancer": DatasetEntry(
        summary="table of 30 measurements of tumours, bundled with scikit-learn",
        loader="sweeper.training.bundled_datasets:read_breast_cancer",
        bundled=True,
        shape=(30,),
        classes=2,
        train=364,
        validation=91,
        test=114,
    ),
    "mnist": DatasetEntry(
        summary="28x28 handwritten digits (LeCun et al. 1998), through torchvision",
        loader="sweeper.training.torchvision_files:read_mnist",
        hash_of_parts=True,
        shape=(1, 28, 28),
        classes=10,
        train=50_000,
        validation=10_000,
        test=10_000,
        torchvision="MNIST",
        folder="MNIST/raw",
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
        loader="sweeper.training.torchvision_files:read_fashion_mnist",
        hash_of_parts=True,
        shape=(1, 28, 28),
        classes=10,
        train=50_000,
        validation=10_000,
        test=10_000,
        torchvision="FashionMNIST",
        folder="FashionMNIST/raw",
        downloads={
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
    "kmnist": DatasetEntry(
        summary="28x28 cursive Japanese letters (Clanuwat et al. 2018), through torchvision",
        loader="sweeper.training.torchvision_files:read_kmnist",
        shape=(1, 28, 28),
        classes=10,
        train=50_000,
        validation=10_000,
        test=10_000,
        torchvision="KMNIST",
        folder="KMNIST/raw",
        downloads={
            "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
            "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
            "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
            "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
        },
    ),
    "emnist": DatasetEntry(
        summary=(
            "28x28 handwritten digits and letters, 47 classes: the part `balanced` of EMNIST "
            "(Cohen et al. 2017), its images transposed as published, through torchvision"
        ),
        loader="sweeper.training.torchvision_files:read_emnist",
        shape=(1, 28, 28),
        classes=47,
        train=94_000,
        validation=18_800,  # as many as for the test, as its authors advise
        test=18_800,
        torchvision="EMNIST",
        subset="balanced",
        folder="EMNIST/raw",
    ),
    "cifar10": DatasetEntry(
        summary="32x32 colour pictures, 10 classes (Krizhevsky 2009), through torchvision",
        loader="sweeper.training.torchvision_files:read_cifar10",
        shape=(3, 32, 32),
        classes=10,
        train=45_000,  # He et al. 2016
        validation=5_000,
        test=10_000,
        torchvision="CIFAR10",
        folder="cifar-10-batches-py",
        files={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
            "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
        },
    ),
    "cifar100": DatasetEntry(
        summary="32x32 colour pictures, 100 classes (Krizhevsky 2009), through torchvision",
        loader="sweeper.training.torchvision_files:read_cifar100",
        shape=(3, 32, 32),
        classes=100,
        train=45_000,
        validation=5_000,
        test=10_000,
        torchvision="CIFAR100",
        folder="cifar-100-python",
        files={
            "train": "16019d7e3df5f24257cddd939b257f8d",
            "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
            "meta": "7973b15100ade9c7d40fb424638fde48",
        },
    ),
    "svhn": DatasetEntry(
        summary="32x32 colour pictures of house numbers (Netzer et al. 2011), through torchvision",
        loader="sweeper.training.torchvision_files:read_svhn",
        shape=(3, 32, 32),
        classes=10,
        train=66_000,
        validation=7_257,
        test=26_032,
        torchvision="SVHN",
        files={
            "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
            "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
        },
    ),
}

DATASET_FORMS: Mapping[str, DatasetForm] = {
    "arrays": DatasetForm(
        summary="a file of one's own: arrays (.npz) or a table (.csv, .parquet)",
        loader="sweeper.training.array_files:read_arrays",
        keys={
            "file": True,
            "test_file": False,
            "target": False,
            "standardise": False,
            "values": False,
        },
    ),
    "images": DatasetForm(
        summary="a folder of one's own pictures, PNG or JPEG, one folder a class",
        loader="sweeper.training.image_folder:read_images",
        keys={"folder": True, "size": False, "channels": False},
    ),
}
"""Datasets of one's own that need no code."""
