"""Secrets Manager: values by name, ARN, stage and version, and how a rotation moves them."""

import uuid


def play(side):
    name = f"witness-{side.run}"

    def step(title, operation, **arguments):
        return side.step(f"secrets: {title}", getattr(side.secrets, operation), **arguments)

    def get(title, secret=name, **arguments):
        return step(title, "get_secret_value", SecretId=secret, **arguments)

    created = step("create", "create_secret", Name=name, SecretString="first", Description="d")
    first = created["VersionId"]
    get("get by name")
    get("get by ARN", created["ARN"])
    get("get by stage", VersionStage="AWSCURRENT")
    get("get by version", VersionId=first)
    get("get what is previous when nothing is", VersionStage="AWSPREVIOUS")
    second = step("put", "put_secret_value", SecretId=name, SecretString="second")["VersionId"]
    get("get the current value")
    get("get the previous value", VersionStage="AWSPREVIOUS")
    get("get an old version", VersionId=first)
    get("get a version by its stage", VersionId=second, VersionStage="AWSCURRENT")
    get("get a version by another's stage", VersionId=first, VersionStage="AWSCURRENT")
    step("put a third", "put_secret_value", SecretId=name, SecretString="third")
    get("get the previous of three", VersionStage="AWSPREVIOUS")
    pending = {"SecretId": name, "VersionStages": ["AWSPENDING"]}
    step("put what is pending", "put_secret_value", SecretString="fourth", **pending)
    get("the current value stands")
    get("get what is pending", VersionStage="AWSPENDING")
    token = {"SecretId": name, "ClientRequestToken": str(uuid.uuid5(uuid.NAMESPACE_URL, name))}
    step("put with a token", "put_secret_value", SecretString="fifth", **token)
    step("put again with its token", "put_secret_value", SecretString="fifth", **token)
    step("put another value with that token", "put_secret_value", SecretString="sixth", **token)
    get("one value stands for a token")
    step("put bytes", "put_secret_value", SecretId=name, SecretBinary=b"\x00\xff")
    get("get bytes")
    step("update", "update_secret", SecretId=name, SecretString="seventh", Description="e")
    get("get what was updated")
    batch = {"SecretIdList": [name, "absent"]}
    step("get two, one of them absent", "batch_get_secret_value", **batch)
    get("get an absent secret", "absent")
    get("get an absent ARN", f"{created['ARN'][:-6]}-absent")
    get("get an absent version", VersionId=str(uuid.uuid5(uuid.NAMESPACE_DNS, name)))
    get("get an absent stage", VersionStage="NOWHERE")
    get("get no secret", "")
    step("describe an absent secret", "describe_secret", SecretId="absent")
    step("put to an absent secret", "put_secret_value", SecretId="absent", SecretString="x")
    step("put no value", "put_secret_value", SecretId=name)
    step("put an empty value", "put_secret_value", SecretId=name, SecretString="")
    short = {"SecretId": name, "ClientRequestToken": "t" * 31}
    step("put with a short token", "put_secret_value", SecretString="x", **short)
    step("put 64 KiB and a byte", "put_secret_value", SecretId=name, SecretString="x" * 65537)
    step("create again", "create_secret", Name=name, SecretString="x")
    step("create a bad name", "create_secret", Name="a b", SecretString="x")
    step("create no name", "create_secret", Name="", SecretString="x")
    step("put two values", "put_secret_value", SecretId=name, SecretString="x", SecretBinary=b"x")
