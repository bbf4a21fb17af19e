"""A build config file as Cloud Build's API takes it: its fields and the rules between them.

The fields are those of the API's Build resource (v1) that a config file may set, except what
belongs to other kinds of builds: packages of Maven, Go, Python and npm, repositories to fetch.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import yaml
from msgspec import Meta, Struct

Duration = Annotated[str, Meta(pattern=r"^\d+(\.\d{1,9})?s$")]
Variable = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*=")]
SubstitutionName = Annotated[str, Meta(pattern=r"^_[A-Z0-9_]+$", max_length=100)]
SubstitutionValue = Annotated[str, Meta(max_length=4000)]
MachineType = Literal[
    "UNSPECIFIED",
    "N1_HIGHCPU_8",
    "N1_HIGHCPU_32",
    "E2_HIGHCPU_8",
    "E2_HIGHCPU_32",
    "E2_MEDIUM",
    "E2_STANDARD_2",
]
LoggingMode = Literal[
    "LOGGING_UNSPECIFIED",
    "LEGACY",
    "GCS_ONLY",
    "STACKDRIVER_ONLY",
    "CLOUD_LOGGING_ONLY",
    "NONE",
]

# Those that Cloud Build defines in every build, as an empty text where there is nothing to say.
# What the trigger of a pull request adds (_PR_NUMBER …) is not among them: it is in no other build.
BUILT_IN = {
    *("PROJECT_ID", "PROJECT_NUMBER", "BUILD_ID", "LOCATION", "REPO_NAME", "REPO_FULL_NAME"),
    *("BRANCH_NAME", "TAG_NAME", "REF_NAME", "REVISION_ID", "COMMIT_SHA", "SHORT_SHA"),
    *("TRIGGER_NAME", "TRIGGER_BUILD_CONFIG_PATH", "SERVICE_ACCOUNT", "SERVICE_ACCOUNT_EMAIL"),
}
_REFERENCE = re.compile(r"\$(?:\$|\{(\w+)\}|([A-Za-z_]\w*))", re.ASCII)
_RESERVED_PATHS = re.compile(r"^/(workspace|builder)(/|$)|^/var/run/docker\.sock$|^/$")
_LONGEST_BUILD_SECONDS = 24 * 60 * 60


class _Message(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A message of the API: camelCase, and nothing that it does not know."""


class Volume(_Message, frozen=True):
    name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]+$")]
    path: Annotated[str, Meta(pattern=r"^/")]


class BuildStep(_Message, frozen=True):
    name: Annotated[str, Meta(min_length=1)]
    env: list[Variable] = []
    args: list[str] = []
    dir: str | None = None
    id: str | None = None
    wait_for: list[str] = []
    entrypoint: str | None = None
    secret_env: list[str] = []
    volumes: list[Volume] = []
    timeout: Duration | None = None
    allow_failure: bool = False
    allow_exit_codes: list[int] = []
    script: str | None = None
    automap_substitutions: bool | None = None


class ArtifactObjects(_Message, frozen=True):
    location: Annotated[str, Meta(pattern="^gs://")]
    paths: Annotated[list[str], Meta(min_length=1)]


class Artifacts(_Message, frozen=True):
    images: list[str] = []
    objects: ArtifactObjects | None = None


class Secret(_Message, frozen=True):
    kms_key_name: str
    secret_env: dict[str, str]


class SecretManagerSecret(_Message, frozen=True):
    version_name: Annotated[str, Meta(pattern=r"^projects/[^/]+/secrets/[^/]+/versions/[^/]+$")]
    env: str


class InlineSecret(_Message, frozen=True):
    kms_key_name: str
    env_map: dict[str, str]


class Secrets(_Message, frozen=True):
    secret_manager: list[SecretManagerSecret] = []
    inline: list[InlineSecret] = []


class PoolOption(_Message, frozen=True):
    name: Annotated[str, Meta(pattern=r"^projects/[^/]+/locations/[^/]+/workerPools/[^/]+$")]
    worker_release: str | None = None


class BuildOptions(_Message, frozen=True):
    source_provenance_hash: list[Literal["NONE", "SHA256", "MD5", "GO_MODULE_H1", "SHA512"]] = []
    requested_verify_option: Literal["NOT_VERIFIED", "VERIFIED", "BEST_EFFORT"] | None = None
    machine_type: MachineType | None = None
    disk_size_gb: Annotated[int, Meta(ge=0, le=4000)] | None = None
    substitution_option: Literal["MUST_MATCH", "ALLOW_LOOSE"] = "MUST_MATCH"
    dynamic_substitutions: bool = False
    automap_substitutions: bool = False
    log_streaming_option: Literal["STREAM_DEFAULT", "STREAM_ON", "STREAM_OFF"] | None = None
    pool: PoolOption | None = None
    logging: LoggingMode | None = None
    env: list[Variable] = []
    secret_env: list[str] = []
    volumes: list[Volume] = []
    default_logs_bucket_behavior: Literal["REGIONAL_USER_OWNED_BUCKET", "LEGACY_BUCKET"] | None = (
        None
    )
    enable_structured_logging: bool = False
    worker_release: str | None = None


class Build(_Message, frozen=True):
    steps: Annotated[list[BuildStep], Meta(min_length=1)]
    timeout: Duration = "3600s"
    images: list[str] = []
    queue_ttl: Duration | None = None
    artifacts: Artifacts | None = None
    logs_bucket: str | None = None
    options: BuildOptions = BuildOptions()
    substitutions: Annotated[dict[SubstitutionName, SubstitutionValue], Meta(max_length=200)] = {}
    tags: list[str] = []
    secrets: list[Secret] = []
    available_secrets: Secrets | None = None
    service_account: str | None = None


def read(file: Path) -> Build:
    """Reads a config file. Raises msgspec.ValidationError where the API does not know a field."""
    return parse(yaml.safe_load(file.read_text()))


def parse(document: object) -> Build:
    return msgspec.convert(document, Build)


def values_of(build: Build, given: Mapping[str, str]) -> dict[str, str]:
    """What every substitution stands for, with those that the trigger or the person gives."""
    values = {**dict.fromkeys(BUILT_IN, ""), **build.substitutions, **given}
    if build.options.dynamic_substitutions:
        values = {name: expand(value, values) for name, value in values.items()}
    return values


def expand(text: str, values: Mapping[str, str]) -> str:
    """The text as the step gets it: `$$` is a dollar sign, `$NAME` and `${NAME}` a value."""

    def replacement(found: re.Match[str]) -> str:
        name = _name(found)
        return values.get(name, "") if name else "$"

    return _REFERENCE.sub(replacement, text)


def problems(build: Build) -> Iterator[str]:
    """What the API would refuse, or quietly not do, although every field is one of its own."""
    yield from _step_problems(build)
    yield from _substitution_problems(build)
    yield from _volume_problems(build)
    yield from _logging_problems(build)
    yield from _secret_problems(build)


def _step_problems(build: Build) -> Iterator[str]:
    if _seconds(build.timeout) > _LONGEST_BUILD_SECONDS:
        yield "a build may take 24 hours"
    earlier: set[str] = set()
    for step in build.steps:
        if step.id in earlier:
            yield f"two steps are called {step.id}"
        for other in step.wait_for:
            if other != "-" and other not in earlier:
                yield f"{step.id} waits for {other}, which is no earlier step"
        if "-" in step.wait_for and len(step.wait_for) > 1:
            yield f"{step.id} waits for nothing and for something"
        if step.script is not None and (step.entrypoint or step.args):
            yield f"{step.id} has a script, and an entrypoint or arguments beside it"
        if step.timeout and _seconds(step.timeout) > _seconds(build.timeout):
            yield f"{step.id} may take longer than the build"
        for variable in _repeated(entry.partition("=")[0] for entry in step.env):
            yield f"{step.id} sets {variable} twice"
        earlier |= {step.id} if step.id else set()


def _substitution_problems(build: Build) -> Iterator[str]:
    used = set(_references(_expanded_texts(build)))
    in_values = set(_references(build.substitutions.values()))
    if in_values and not build.options.dynamic_substitutions:
        yield "a substitution names another, which needs dynamicSubstitutions"
    if build.options.substitution_option == "ALLOW_LOOSE":
        return
    for name in sorted((used | in_values) - BUILT_IN - build.substitutions.keys()):
        yield f"${name} is not defined"
    for name in sorted(build.substitutions.keys() - used - in_values):
        yield f"{name} is not used"


def _volume_problems(build: Build) -> Iterator[str]:
    everywhere = build.options.volumes
    if everywhere and len(build.steps) < 2:
        yield "a volume for all steps needs two of them"
    for name in _repeated(volume.name for volume in everywhere):
        yield f"two volumes are called {name}"
    uses: Counter[str] = Counter()
    for step in build.steps:
        mounted = [*everywhere, *step.volumes]
        for path in _repeated(volume.path for volume in mounted):
            yield f"{step.id} mounts two volumes at {path}"
        for name in {volume.name for volume in mounted if _RESERVED_PATHS.match(volume.path)}:
            yield f"{step.id} mounts {name} where Cloud Build has something of its own"
        uses.update({volume.name for volume in mounted})
    yield from (f"only one step uses the volume {name}" for name, n in uses.items() if n < 2)


def _logging_problems(build: Build) -> Iterator[str]:
    if build.service_account is None:
        return
    known = values_of(build, {"PROJECT_ID": "project"})
    account = expand(build.service_account, known)
    if not re.fullmatch(r"projects/[^/]+/serviceAccounts/([a-z0-9-]+@[a-z0-9.-]+|\d+)", account):
        yield f"{account} is not the full name of a service account"
    own_bucket = build.logs_bucket or (
        build.options.default_logs_bucket_behavior == "REGIONAL_USER_OWNED_BUCKET"
    )
    if not own_bucket and build.options.logging not in ("CLOUD_LOGGING_ONLY", "NONE"):
        yield "a service account of one's own can't log to the default bucket"


def _secret_problems(build: Build) -> Iterator[str]:
    available = build.available_secrets or Secrets()
    defined = {secret.env for secret in available.secret_manager}
    defined.update(*(secret.env_map for secret in available.inline))
    defined.update(*(secret.secret_env for secret in build.secrets))
    used = {*build.options.secret_env, *chain(*(step.secret_env for step in build.steps))}
    yield from (f"the secret {name} is not defined" for name in sorted(used - defined))
    yield from (f"the secret {name} is not used" for name in sorted(defined - used))


def _expanded_texts(build: Build) -> Iterator[str]:
    """Every text in which Cloud Build puts values for names. A `script` is not among them."""
    for step in build.steps:
        yield from (step.name, step.entrypoint or "", step.dir or "", *step.args, *step.env)
        yield from (volume.path for volume in step.volumes)
    yield from (*build.options.env, *build.images, *build.tags)
    yield from (build.service_account or "", build.logs_bucket or "")
    if build.artifacts:
        objects = build.artifacts.objects
        yield from build.artifacts.images
        yield from (objects.location, *objects.paths) if objects else ()
    for secret in (build.available_secrets or Secrets()).secret_manager:
        yield secret.version_name


def _references(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield from filter(None, map(_name, _REFERENCE.finditer(text)))


def _name(found: re.Match[str]) -> str | None:
    return found[1] or found[2]


def _repeated(names: Iterator[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))
