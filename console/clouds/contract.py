"""What a cloud is: how an account is linked, its storage, its nodes' access, its words. No Django, no model.

The order of work is in lifecycle.py; here are the primitives that it is written on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

from console.clouds import foreign
from console.clouds.contents import Contents, Objects
from console.clouds.existing import ExistingBuckets
from console.clouds.key_trial import KeyTrial
from console.clouds.naming import KEY_PART
from console.clouds.prices import Prices
from console.clouds.proof import SignIn
from console.clouds.regions import Region
from console.clouds.specs import AccessSpec, AccountRef, StoreSpec
from console.clouds.steps import Pace, Plan, StepResult
from console.clouds.vocabulary import Vocabulary

DAYS_AT_MOST = 36_500  # Object Lock takes no more (S3 API reference, "DefaultRetention")


@dataclass(frozen=True)
class Identity:
    """Who the cloud says we are: read from it, never typed."""

    number: str
    partition: str
    arn: str = ""
    found: Mapping[str, str] = field(default_factory=dict)  # what the account's settings say from now on
    proofs: tuple[str, ...] = ()  # what was tried, and how that ended, in sentences


@dataclass(frozen=True)
class Fact:
    """An exact value about an account, with its label."""

    label: str
    value: str
    more: bool = True  # shown with the other details, not at first sight
    warning: bool = False


@dataclass(frozen=True)
class Feature:
    """Something that a store would like of its server, what came of trying it there, and what that means."""

    label: str
    outcome: Literal["has", "lacks", "claims"]  # claims: it says that it does this, and does not
    without: str  # what that means where the server does not have it
    remark: str = ""  # where it has it: what is to be said about that all the same

    @property
    def has(self) -> bool:
        """Return whether stores use it."""
        return self.outcome == "has"


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What can be done in one linked account: forms, pages and plans read this, and ask no cloud which it is."""

    versions: bool = False  # a store can keep what was overwritten or deleted
    lock: bool = False  # and let nobody delete it before its time
    access_logs: bool = True  # requests to backup buckets are logged
    node_key_by_hand: bool = False  # the server makes no keys: the nodes' one is made by hand and given to the console
    features: Sequence[Feature] = ()  # what the server was found to have and to lack; () for all


Outcome = Literal["pass", "fail", "unknown"]


@dataclass(frozen=True)
class Check:
    """Something that the plans need of an account, whether it is there, and what breaks without it."""

    label: str  # a permission, a region, a control of the server
    on: str  # what of: the ARN that a policy names, the region's place
    outcome: Outcome
    without: str  # what breaks
    why: str = ""  # the reason for the outcome, where there is more to say
    statement: str = ""  # JSON of the policy statement that would allow it
    regions: Sequence[str] = ()  # those that the line is about; none: all
    required: bool = True  # the plans fail without it, or stop half-way
    in_files: bool = False  # no statement would do, and the account's files, run again, have it


@dataclass(frozen=True)
class Document:
    """A file that an administrator sets up the console's access with."""

    filename: str
    label: str
    text: str
    hint: str  # what it is for
    command: str = ""  # what to run with it
    again: str = ""  # what to run with it once the account is linked, to have what a new version needs added
    way: str = ""  # the tool for which it is all that is needed; "": a part of doing it by hand
    page: str = ""  # the address at which the cloud's own console takes it, if it does
    page_words: str = ""  # what that page calls it


@dataclass(frozen=True)
class SecretFile:
    """A file with a secret in it that a node needs beside its configuration, which names it by an option."""

    option: str  # such as gcs-key; without its `repoN-`
    name: str  # on the node, after `repoN-`; another content has another name, so that the configuration changes too
    content: str = field(repr=False)


@dataclass(frozen=True)
class Need:
    """Something that pgBackRest does for a repository only from a release on, in words that follow on "does not"."""

    release: str  # such as 2.58
    what: str
    otherwise: str  # what to do instead of installing it, in words that follow on "or"


@dataclass(frozen=True)
class KeyPart:
    """A part of a key that somebody brings to a machine: pgBackRest's option without its `repoN-`, and in words."""

    option: str
    words: str
    may_lack: bool = False
    is_file: bool = False  # what is brought is a file, which the option names


@dataclass(frozen=True)
class BroughtKey:
    """How a repository is reached with a key that is brought to a machine, where the nodes' own way is not open."""

    options: tuple[tuple[str, str], ...]  # all but the key
    parts: tuple[KeyPart, ...]
    type: str  # the option that says which kind of key it is
    more: tuple[str, ...] = ()  # what else signs in, where a machine had a way of its own


@dataclass(frozen=True)
class RepositoryOptions:
    """A store as pgBackRest's configuration names it: options without their `repoN-`, in the order of the file."""

    options: tuple[tuple[str, str], ...]
    secret: frozenset[str] = frozenset()  # names of those options that only a member who has just signed in may read
    ca_certificate: str = ""  # PEM, if the server's certificate is not one that every system trusts
    files: tuple[SecretFile, ...] = ()
    needs: tuple[Need, ...] = ()  # of the node's pgBackRest
    lacks: str = ""  # why nodes cannot sign in yet, and what to do, in sentences
    brought_key: BroughtKey | None = None
    # What of a place is no part of repoN-path, since another option names it: Azure's container of a repository that
    # was there before its cluster.
    above: str = ""

    def own_path(self, place: str) -> str:
        """Return repoN-path of a place in the store, which begins with a slash."""
        return f"/{place.removeprefix(f'/{self.above}').lstrip('/')}" if self.above else place


@dataclass(frozen=True)
class Control:
    """One thing that a bucket of a store should have, for ever: how it is seen, compared, set and described."""

    key: str  # such as public_access_block
    label: str
    bucket: str  # its name
    log: bool  # it is the log bucket
    wanted: Any  # plain data, as `observe` returns it
    observe: Callable[[], Any]  # what the bucket has; raises a StepError
    ensure: Callable[[], StepResult | None]  # gives the bucket what is wanted; raises a StepError
    matches: Callable[[Any], bool]  # whether what was observed will do
    describe: Callable[[Any], str]  # a value, for people
    fixed: bool = False  # was promised when the store was made: nothing else can be accepted
    offered: bool = True  # the server is known to have it, so its absence is drift
    repairable: Callable[[Any], bool] = lambda observed: True  # whether `ensure` makes what is wanted of this


@dataclass(frozen=True)
class UnmanagedBucket:
    """A bucket that is named as the console names buckets, and belongs to no store that the console knows of."""

    name: str
    region: str
    created: str  # ISO 8601
    kind: str  # by its name: "backup", "log", "probe" (of a link test), or "" for a name that the console never gives
    store_id: str = ""  # by its tag, whatever that says
    store_name: str = ""
    error: str = ""  # why its tags could not be read
    details: Mapping[str, str] = field(default_factory=dict)  # of the error
    versions_days: int = 0  # by its tags: what a protected store promised
    lock_days: int = 0


@dataclass(frozen=True)
class Field:
    """A question that linking an account asks; the answer goes into its settings or, if secret, its secrets."""

    name: str
    label: str
    hint: str = ""
    kind: Literal["text", "area", "choice", "flag"] = "text"
    secret: bool = False  # typed, kept encrypted, never given back to a page
    required: str = ""  # what is said when it is missing; nothing: it may be
    at_most: int = 256  # characters
    choices: tuple[tuple[str, str], ...] = ()  # of a choice: key and label, the first is the usual one
    suggestions: Callable[[], Sequence[tuple[str, str]]] | None = None  # value and label, to choose from while typing
    placeholder: str = ""
    # Asked only if the field "method" has this key, which is how the console signs in.
    method: str = ""
    identity: bool = False  # says whom the console signs in as: what is wrong with that is said beside it
    # Changing it makes every secret have to be given again: it is sent to somewhere else, or goes with another key.
    binds_secrets: bool = False
    # The answer as it is kept; raises LinkError with what is wrong with it.
    clean: Callable[[str], str] = str


def key_part(text: str) -> str:
    """Return the ID or the secret of an access key; raises LinkError for what no key has."""
    if not KEY_PART.fullmatch(text):
        raise LinkError("A key has no spaces, no control characters, and no letters outside ASCII.")
    return text


class LinkError(Exception):
    """The account cannot be used with what was given; `field` is the form field to say it beside, or ''.

    `passing` says that nothing was found out, since no answer came: the same may work in a moment.
    """

    def __init__(self, message: str, field: str = "", *, passing: bool = False) -> None:
        super().__init__(foreign.text(message, foreign.LINES))
        self.field, self.passing = field, passing


class Unproven(LinkError):
    """The account does not hold the link's external ID: its administrator lets another organisation in, or nobody."""


class AlreadyExists(Exception):
    """There is a bucket of this name in the account, whosever it is."""


@dataclass(frozen=True)
class Setting:
    """A setting that a new bucket gets, by the keys of its controls, and the sentence that people read meanwhile.

    `only_with` names what a store has to promise for it: "versions" or "lock".
    """

    bucket: Literal["log", "backup"]
    keys: tuple[str, ...]
    title: str
    only_with: Literal["", "versions", "lock"] = ""
    proves: bool = False  # tries the bucket out with what was set, also when that was repaired

    @property
    def step_key(self) -> str:
        """Return the key of the step that sets it."""
        return f"set_{self.bucket}_{self.keys[0]}"


@dataclass(frozen=True, kw_only=True)
class Linking:
    """How an account is linked, and looked at afterwards."""

    fields: Sequence[Field]  # what linking asks for
    sign_ins: Sequence[SignIn]  # the ways to sign in, each with what proves a link; the choices of the field "method"
    sign_in: Callable[[AccountRef], SignIn]  # that of this account
    explanation: str  # what is tried when an account is linked, and what that needs, in a sentence or two
    identify: Callable[[AccountRef], Identity]  # asks the cloud, also for the proof; raises LinkError and Unproven
    linked: Callable[[AccountRef], str]  # one sentence about the account that was just linked
    facts: Callable[[AccountRef], Sequence[Fact]]  # what identifies the account, and how the console signs in
    # How the console is given its access. Asks nobody, also before linking, when only the external ID is known.
    documents: Callable[[AccountRef], Sequence[Document]]
    # What the plans need of the account, and of these regions in it; nothing is made there. Raises a StepError.
    preflight: Callable[[AccountRef, Sequence[str]], Sequence[Check]]
    preflight_note: str = ""  # how `preflight` finds out, and what may be refused all the same
    # What the answers that are no secrets must be together, and how they are kept; raises LinkError.
    clean: Callable[[Mapping[str, str]], Mapping[str, str]] = dict
    # Puts what several lines of `preflight` say is missing into one text.
    merge_statements: Callable[[Sequence[str]], str] = lambda found: "\n".join(dict.fromkeys(found))
    documents_for: tuple[str, ...] = ()  # ways to sign in whose documents differ; none: all have the same


class Storage(Protocol):
    """The primitives of a cloud's storage. Each may run any number of times; what goes wrong leaves as a StepError."""

    log_days: int  # how long an access log is kept
    one_region: bool  # an account is one server in one place, so a store's region is never asked
    closed_for_deletion: frozenset[str]  # keys of the settings that `close` and `release` change

    @property
    def create_pace(self) -> Pace | None:
        """Return how often buckets can be created in one account, where that is slow."""

    def regions(self, account: AccountRef) -> Sequence[Region]:
        """Return where stores of the account can be made."""

    def names(self, store_id: UUID, region: str, account_number: str) -> tuple[str, str]:
        """Return the names of the backup bucket and of its log bucket."""

    def namespace(self, partition: str, account_number: str) -> str:
        """Return what the account shares one space of bucket names with: there no two buckets have one name.

        At most 100 characters, with the cloud's key at its beginning.
        """

    def identifier(self, account: AccountRef, bucket: str) -> str:
        """Return the bucket's ARN, resource ID or URI."""

    def facts(self, spec: StoreSpec) -> Sequence[tuple[str, str]]:
        """Return label and exact value of what the store is."""

    def owner(self, spec: StoreSpec, bucket: str) -> str | None:
        """Return the ID of the store that the bucket belongs to, "" when nothing says so; None without a bucket.

        Raises NotReady while the cloud does not say for certain whether there is one.
        """

    def create(self, spec: StoreSpec, bucket: str) -> StepResult | None:
        """Create one of the store's buckets; raises AlreadyExists, and Conflict when the name is somebody else's."""

    def adopt(self, spec: StoreSpec, bucket: str) -> StepResult | None:
        """Bring a bucket of this store, which an earlier attempt made, to what `create` would have made of it."""

    def settings(self, spec: StoreSpec) -> Sequence[Control]:
        """Return what both buckets should have for ever; whose they are comes first."""

    def contents(self, spec: StoreSpec, bucket: str, tell: Callable[[int], None] | None = None) -> Contents:
        """Return what the bucket holds, as far as it is counted: one page or so, or much more if told how far it is.

        `tell` gets the number of objects and versions after each page.
        """

    def close(self, spec: StoreSpec) -> None:
        """Let nobody write into the backup bucket any more, where the cloud would delete it with what is in it."""

    def release(self, spec: StoreSpec) -> None:
        """Take away what keeps the backup bucket from being deleted, or would outlive it: its logging, our lock."""

    def empty(self, spec: StoreSpec, bucket: str) -> None:
        """Delete all that is in a log bucket, where that has to go before it; raises NotReady when it is very much."""

    def delete(self, spec: StoreSpec, bucket: str) -> bool:
        """Delete the bucket, and say whether it is gone; it stays when the cloud sees something in it."""

    def objects(self, spec: StoreSpec) -> Objects:
        """Return what reads the backup bucket's objects."""

    def list_unmanaged(self, account: AccountRef, known: Collection[str]) -> Iterator[UnmanagedBucket]:
        """Yield the buckets that are named like ours and are not known, as their tags are read."""

    def empty_commands(self, spec: StoreSpec, found: Contents, prefix: str = "") -> str:
        """Return the commands with which an administrator empties the backup bucket, or one cluster's folder in it."""

    def delete_commands(self, account: AccountRef, bucket: str, region: str) -> str:
        """Return the commands with which an administrator deletes a bucket when it is empty."""


@dataclass(frozen=True)
class MachineStep:
    """What an administrator does to a machine before a node of the cluster can use a store."""

    title: str
    command: str  # with words in capitals where the console does not know the value
    link: str = ""  # to where the cloud's own console does the same; "" where that is not known


@dataclass(frozen=True, kw_only=True)
class NodeAccess:
    """How the nodes of a cluster get to the stores that are attached to it, and to nothing else."""

    grant: Plan  # steps on an AccessSpec, whose nodes may then use exactly its buckets
    revoke: Plan  # no store is left: every permission is taken back, what carries them stays
    delete: Plan  # what carries the permissions is deleted too
    facts: Callable[[AccessSpec], Sequence[tuple[str, str]]]  # label and exact value, for whoever starts nodes
    policy: Callable[[AccessSpec], dict[str, Any]]  # the policy document that the nodes get
    refusal: Callable[[AccessSpec], str]  # why so many stores do not fit, in one sentence; "" when they do
    repository: Callable[[StoreSpec, AccessSpec], RepositoryOptions]  # how a node of the cluster reaches the store
    regions: Callable[[AccountRef], Sequence[Region]]  # where nodes of the account can be, by code
    # A key that somebody makes by hand to read a store without the console: pgBackRest's options, as of `repository`,
    # each with what to fill in; and where it comes from, in sentences.
    key_options: tuple[tuple[str, str], ...]
    key_from: str
    key_id: Callable[[Mapping[str, str]], str]  # what tells the nodes' kept key from another; "" where there is none
    # What makes the nodes' key by hand, where the server makes none; and what tries it, with the log buckets.
    by_hand: Callable[[AccessSpec], Sequence[Document]] = lambda spec: ()
    try_key: Callable[[AccessSpec, Mapping[str, str], Sequence[str]], KeyTrial] | None = None
    second_key: Plan = ()  # another key is made beside that of `keys`; then `grant` leaves these two alone
    end_keys: Plan = ()  # every key ends, so that `grant` makes another
    key_ends: str = ""  # how soon one that was ended is refused, in a sentence
    note: str = ""  # how the nodes sign in, where people would expect something else
    # What a machine in this region needs first, where nodes sign in as their machine; nothing where they have a key.
    machine_steps: Callable[[AccessSpec, str], Sequence[MachineStep]] = lambda spec, region: ()
    # Why `grant` should run again on what an earlier version of the console made, in a sentence; "" when it need not.
    outdated: Callable[[AccessSpec], str] = lambda spec: ""
    # What a key of the nodes' own needs beside reading and writing, in a sentence.
    own_key_needs: str = ""
    in_containers: bool = False  # a place in a store begins with a container, so nothing is at its root
    # From when on `grant` makes the nodes' keys anew, where the cloud makes keys that end some day.
    keys_due: Callable[[AccessSpec], datetime | None] | None = None


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """How deleted backups come back from a store that keeps what was deleted."""

    # Whether what was deleted stays as a version, which pgBackRest reads with repo-target-time. Then `NodeAccess.grant`
    # and `delete` make and remove an identity that reads them, for an AccessSpec with `reads_until`.
    has_versions: Callable[[StoreSpec], bool]
    # The script that brings a folder of the store back to what it was at a time.
    undelete: Callable[[StoreSpec, str, datetime], Document]
    whole_from: str  # the pgBackRest that reads folders with very many versions, where an older one does not; else ""
    uses: str  # how a machine signs in as that identity, in a sentence
    ends: str  # what ends the identity, in a sentence
    shut_out: str  # how whoever has the nodes' access loses it, in sentences
    # How the access logs tell who deleted something below the folder: commands; "" where there are no logs.
    deleters: Callable[[StoreSpec, str], str]


@dataclass(frozen=True, kw_only=True)
class PgEdgeNames:
    """How pgEdge Cloud's clients link an account of this cloud (the credentials of its API's cloud accounts)."""

    type: str = ""  # what they call the cloud; "" as its key
    method: str = ""  # key of the way to sign in that their credentials are for; "" where there is but one
    credentials: Mapping[str, str] = field(default_factory=dict)  # their name of one: ours, where those differ


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """One cloud, or one kind of server. Adding a cloud is adding one of these to CLOUDS."""

    key: str
    label: str
    service: str
    mark: str  # our own drawing that stands for it: the symbol mark-… of icons.svg, and nobody's logo
    mark_colour: str = "slate"  # what the mark stands on: one of the style sheet's colours of marks
    vocabulary: Vocabulary
    linking: Linking
    storage: Storage
    creation: Sequence[Sequence[Setting]]  # what new buckets get, stage by stage, once both are there
    access: NodeAccess
    recovery: Recovery
    existing: ExistingBuckets
    capabilities: Callable[[AccountRef], Capabilities]
    pgedge: PgEdgeNames = PgEdgeNames()
    prices: Prices | None = None  # None: nobody asks for them, or everybody something else

    @property
    def locks(self) -> bool:
        """Return whether a store can be locked at all, whatever the account."""
        return any(one.only_with == "lock" for stage in self.creation for one in stage)
