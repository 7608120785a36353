"""DynamoDB: numbers, sizes, empty values, expressions that are wrong, and the time to live."""

from dynamodb import create_table, item, key, on

KIB = 1024
MAXIMUM_ITEM = 400 * KIB


def play(side):
    table = f"witness-limits-{side.run}"
    create_table(side, table)
    try:
        for part in (numbers, sizes, empty_values, wrong_expressions, times_to_live):
            part(side, table)
    finally:
        side.dynamodb.delete_table(TableName=table)


def numbers(side, table):
    put, get = on(side, table, "put_item"), on(side, table, "get_item")
    for written in (
        "0", "-0", "1.0", "1.50", "007", "+5", "1e3", "1E-3", "0.000", "100000000000000000000",
        "1" * 38, "0." + "3" * 38, "9.9999999999999999999999999999999999999E+125", "1E-130",
    ):
        entry = f"number {written}"
        put(f"put the number `{written}`", Item=item(entry, n={"N": written}))
        get(f"get the number `{written}`", Key=key(entry))
    for written in (
        "1" * 39, "1E126", "1E-131", "", " 1", "1 ", "1_000", "NaN", "Infinity", "0x10", "1,5",
        "one",
    ):
        put(f"put the number `{written}`", Item=item("number", n={"N": written}))
    put("put equal numbers in a set", Item=item("number", n={"NS": ["1", "1.0"]}))


def sizes(side, table):
    put, update = on(side, table, "put_item"), on(side, table, "update_item")
    # Names count too: coupon, entry and their values, and the name of the text.
    others = len("coupon") + len("c") + len("entry") + len("big") + len("text")
    most = MAXIMUM_ITEM - others
    put("an item of 400 KiB", Item=item("big", text={"S": "x" * most}))
    put("an item of 400 KiB and a byte", Item=item("big", text={"S": "x" * (most + 1)}))
    put("an item of two-byte letters", Item=item("big", text={"S": "é" * (most // 2)}))
    too_many = {"S": "é" * (most // 2 + 1)}
    put("an item of too many two-byte letters", Item=item("big", text=too_many))
    update(
        "an update to more than 400 KiB",
        Key=key("big"),
        UpdateExpression="SET more = :m",
        ExpressionAttributeValues={":m": {"S": "x" * KIB}},
    )
    put("a partition key of 2048 bytes", Item=item("e", "k" * 2048))
    put("a partition key of 2049 bytes", Item=item("e", "k" * 2049))
    put("a sort key of 1024 bytes", Item=item("k" * 1024))
    put("a sort key of 1025 bytes", Item=item("k" * 1025))


def empty_values(side, table):
    put = on(side, table, "put_item")
    for name, value in {
        "an empty text": {"S": ""},
        "an empty binary": {"B": b""},
        "an empty set of texts": {"SS": []},
        "an empty set of numbers": {"NS": []},
        "an empty list": {"L": []},
        "an empty map": {"M": {}},
        "an empty text in a set": {"SS": [""]},
        "a text twice in a set": {"SS": ["a", "a"]},
        "a null that is false": {"NULL": False},
        "a value of two types": {"S": "a", "N": "1"},
        "a value of no type": {},
        "an empty name in a map": {"M": {"": {"S": "a"}}},
    }.items():
        put(f"put {name}", Item=item("empty", value=value))
    put("an empty partition key", Item=item("e", ""))
    put("an empty sort key", Item=item(""))
    put("an item without its sort key", Item={"coupon": {"S": "c"}})
    put("an item whose key is a number", Item={"coupon": {"N": "1"}, "entry": {"S": "e"}})


def wrong_expressions(side, table):
    put = on(side, table, "put_item")
    one = {":a": {"S": "a"}}

    def wrong(name, condition, **more):
        put(f"expression: {name}", Item=item("never"), ConditionExpression=condition, **more)

    def names(**names):
        return {"ExpressionAttributeNames": {f"#{short}": name for short, name in names.items()}}

    values = {"ExpressionAttributeValues": one}
    wrong("an unused value", "attribute_not_exists(entry)", **values)
    wrong("an unused name", "attribute_not_exists(entry)", **names(n="hash"))
    wrong("an undefined value", "entry <> :b", **values)
    wrong("undefined values alone", "entry <> :b")
    wrong("an undefined name", "#absent = :a", **values)
    wrong("a reserved word", "status = :a", **values)
    wrong("a reserved word in capitals", "Name = :a", **values)
    wrong("no expression", "")
    wrong("half an expression", "entry =", **values)
    wrong("an unknown function", "exists(entry)")
    wrong("a function with too few arguments", "begins_with(entry)")
    wrong("size by itself", "size(entry)")
    wrong("brackets that stay open", "(entry = :a", **values)
    wrong("a literal", "entry = 'a'")
    wrong("one operand twice", "entry = entry")
    wrong("one operand twice under two names", "entry <> #e", **names(e="entry"))
    wrong("one operand twice in a function", "begins_with(entry, entry)")
    wrong("attribute_type of an unknown type", "attribute_type(entry, :a)", **values)
    wrong("attribute_type of a number", "attribute_type(entry, :n)",
          ExpressionAttributeValues={":n": {"N": "1"}})
    wrong("301 operators", " OR ".join(["entry = :a"] * 151), **values)
    wrong("IN of 101 operands", f"entry IN ({', '.join([':a'] * 101)})", **values)
    wrong("a placeholder of 256 bytes", f"attribute_not_exists(#{'x' * 255})",
          **names(**{"x" * 255: "entry"}))
    wrong("begins_with a number", "begins_with(entry, :n)",
          ExpressionAttributeValues={":n": {"N": "1"}})
    wrong("between reversed bounds", "entry BETWEEN :b AND :a",
          ExpressionAttributeValues={":a": {"S": "a"}, ":b": {"S": "b"}})
    wrong("a value's name without a colon", "entry = a",
          ExpressionAttributeValues={"a": {"S": "a"}})
    wrong("a name without a hash", "n = :a", ExpressionAttributeNames={"n": "entry"}, **values)
    wrong("4097 bytes", "attribute_not_exists(" + "e" * 4076 + ")")
    put("values without an expression", Item=item("never"), **values)
    put("names without an expression", Item=item("never"), **names(n="hash"))
    put(
        "old and new conditions together",
        Item=item("never"),
        ConditionExpression="attribute_not_exists(entry)",
        Expected={"entry": {"Exists": False}},
    )
    get, update = on(side, table, "get_item"), on(side, table, "update_item")
    get("project one path twice", Key=key("e"), ProjectionExpression="entry, entry")
    get("project overlapping paths", Key=key("e"), ProjectionExpression="m, m.a")
    get("project a reserved word", Key=key("e"), ProjectionExpression="status")
    update("update by no expression", Key=key("e"), UpdateExpression="")
    update("update by an unknown clause", Key=key("e"), UpdateExpression="PUT a = :a", **values)
    update(
        "update with an unused value",
        Key=key("e"),
        UpdateExpression="REMOVE a",
        ExpressionAttributeValues=one,
    )
    get("no key", Key={})
    get("an unknown way to count", Key=key("e"), ReturnConsumedCapacity="SOME")
    absent = {"TableName": "absent", "Item": item("e")}
    side.step("dynamodb: put to an absent table", side.dynamodb.put_item, **absent)
    short = {"TableName": "ab", "Item": item("e")}
    side.step("dynamodb: a table's name of two letters", side.dynamodb.put_item, **short)


def times_to_live(side, table):
    describe = on(side, table, "describe_time_to_live")
    change = on(side, table, "update_time_to_live")
    describe("a table without a time to live")
    on_expires = {"AttributeName": "expires_at", "Enabled": True}
    change("switch the time to live on", TimeToLiveSpecification=on_expires)
    describe("a table with a time to live")
    change("switch the time to live on again", TimeToLiveSpecification=on_expires)
    elsewhere = {"AttributeName": "ends_at", "Enabled": True}
    change("move the time to live", TimeToLiveSpecification=elsewhere)
    put = on(side, table, "put_item")
    put("an item that expires late", Item=item("late", expires_at={"N": "4102444800"}))
    put("an item whose expiry is a text", Item=item("text", expires_at={"S": "soon"}))
