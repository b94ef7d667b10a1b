"""What speaks S3, Amazon's or another's: what a new store gets there, stage by stage; what a server lacks is said."""

from console.clouds.contract import Setting

# The log bucket is closed before anything is told to log into it, and calls on one bucket never run together, which S3
# answers with OperationAborted.
CREATION = (
    (
        Setting("log", ("policy",), "Closing the log bucket to all but log delivery"),
        Setting("backup", ("policy",), "Closing the backup bucket to plain HTTP"),
    ),
    (
        Setting("log", ("lifecycle",), "Setting the log bucket to expire old logs"),
        Setting("backup", ("lifecycle",), "Setting the backup bucket to drop unfinished uploads"),
    ),
    (Setting("backup", ("logging",), "Turning on access logging"),),
    (Setting("backup", ("versioning",), "Turning on versioning", only_with="versions"),),
    (Setting("backup", ("object_lock",), "Locking what will be written", only_with="lock"),),
)
