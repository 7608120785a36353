"""DynamoDB: what the functions do with tables - conditions, transactions, batches and pages."""

import functools

TABLE = "witness"
IF_ABSENT = "attribute_not_exists(entry)"
RETURN_OLD = "ALL_OLD"


def key(entry, coupon="c"):
    return {"coupon": {"S": coupon}, "entry": {"S": entry}}


def item(entry, coupon="c", **more):
    return key(entry, coupon) | more


def create_table(side, name):
    attributes = ("coupon", "entry", "undispatched")
    return side.dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in attributes],
        KeySchema=[
            {"AttributeName": "coupon", "KeyType": "HASH"},
            {"AttributeName": "entry", "KeyType": "RANGE"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "undispatched",
                "KeySchema": [{"AttributeName": "undispatched", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )


def play(side):
    table = f"witness-{side.run}"
    create_table(side, table)
    try:
        for part in (puts, updates, deletes, queries, scans, batches, transactions):
            part(side, table)
    finally:
        side.dynamodb.delete_table(TableName=table)


def on(side, table, operation):
    """The operation on the table, as `step(name, **arguments)`."""
    call = functools.partial(getattr(side.dynamodb, operation), TableName=table)
    return lambda name, **arguments: side.step(f"dynamodb: {name}", call, **arguments)


def puts(side, table):
    put, get = on(side, table, "put_item"), on(side, table, "get_item")
    first = item("redeemed", hash={"S": "h1"}, uses={"N": "1"})
    put("put a new item", Item=first, ConditionExpression=IF_ABSENT)
    lost = {"Item": item("redeemed", hash={"S": "h2"}), "ConditionExpression": IF_ABSENT}
    put("a lost conditional put", **lost)
    put(
        "a lost conditional put returns the old item",
        ReturnValuesOnConditionCheckFailure=RETURN_OLD,
        **lost,
    )
    get("the old item stands", Key=key("redeemed"), ConsistentRead=True)
    put("a put returns the old item", Item=first, ReturnValues="ALL_OLD")
    put("a put of a new item returns none", Item=item("fresh"), ReturnValues="ALL_OLD")
    put("a put cannot return the new item", Item=first, ReturnValues="ALL_NEW")
    put(
        "a put if a value is as expected",
        Item=first,
        ConditionExpression="#h = :h AND uses < :two",
        ExpressionAttributeNames={"#h": "hash"},
        ExpressionAttributeValues={":h": {"S": "h1"}, ":two": {"N": "2"}},
    )
    put(
        "a condition on an absent item is not met",
        Item=item("never"),
        ConditionExpression="hash_ = :h",
        ExpressionAttributeValues={":h": {"S": "h1"}},
        ReturnValuesOnConditionCheckFailure=RETURN_OLD,
    )
    every = {
        "s": {"S": "é \U0001f600"},
        "n": {"N": "-12.50"},
        "b": {"B": b"\x00\xff"},
        "yes": {"BOOL": True},
        "none": {"NULL": True},
        "list": {"L": [{"S": "a"}, {"N": "1"}, {"L": []}]},
        "map": {"M": {"deep": {"M": {}}, "list": {"L": [{"BOOL": False}]}}},
        "ss": {"SS": ["b", "a"]},
        "ns": {"NS": ["1", "2.5"]},
        "bs": {"BS": [b"a", b"b"]},
    }
    put("put every type", Item=item("types", **every))
    get("get every type", Key=key("types"))
    get(
        "get some attributes",
        Key=key("types"),
        ProjectionExpression="#m.#l[0], ss, #l[1], absent",
        ExpressionAttributeNames={"#m": "map", "#l": "list"},
    )
    get("get an absent item", Key=key("absent"), ConsistentRead=True)
    get("get with a part of the key", Key={"coupon": {"S": "c"}})
    get("get with more than the key", Key=key("redeemed") | {"hash": {"S": "h"}})
    get("get with a key of another type", Key={"coupon": {"S": "c"}, "entry": {"N": "1"}})
    get(
        "get and count what it costs",
        Key=key("redeemed"),
        ConsistentRead=True,
        ReturnConsumedCapacity="TOTAL",
    )
    get("get and count half of that", Key=key("redeemed"), ReturnConsumedCapacity="TOTAL")
    conditions = {
        "attribute_exists": ("attribute_exists(ss)", {}),
        "attribute_type": ("attribute_type(yes, :t)", {":t": {"S": "BOOL"}}),
        "attribute_type of another type": ("attribute_type(yes, :t)", {":t": {"S": "S"}}),
        "contains in a set": ("contains(ss, :a)", {":a": {"S": "a"}}),
        "contains in a text": ("contains(s, :a)", {":a": {"S": "é"}}),
        "contains in a list": ("contains(#l, :a)", {":a": {"N": "1"}}),
        "size": ("size(ss) = :n", {":n": {"N": "2"}}),
        "size of a text": ("size(s) = :n", {":n": {"N": "3"}}),
        "size of a text in units of 16 bits": ("size(s) = :n", {":n": {"N": "4"}}),
        "begins_with": ("begins_with(s, :a)", {":a": {"S": "é"}}),
        "between": ("n BETWEEN :a AND :b", {":a": {"N": "-13"}, ":b": {"N": "-12.5"}}),
        "in": ("n IN (:a, :b)", {":a": {"N": "1"}, ":b": {"N": "-12.5"}}),
        "not": ("NOT attribute_exists(absent)", {}),
        "or and brackets": ("(n = :a OR yes = :b) AND n < :z", {
            ":a": {"N": "1"}, ":b": {"BOOL": True}, ":z": {"N": "0"},
        }),
        "unequal types": ("n <> :a", {":a": {"S": "-12.50"}}),
        "a comparison of types": ("n < :a", {":a": {"S": "x"}}),
        "an absent attribute is unequal": ("absent <> :a", {":a": {"S": "x"}}),
        "equal sets in another order": ("ss = :a", {":a": {"SS": ["a", "b"]}}),
        "an equal number written otherwise": ("n = :a", {":a": {"N": "-1.25e1"}}),
        "a nested attribute": ("#map.deep = :a", {":a": {"M": {}}}),
    }
    for name, (condition, values) in conditions.items():
        names = {"#l": "list", "#map": "map"}
        arguments = {"ExpressionAttributeValues": values} if values else {}
        used = {short: long for short, long in names.items() if short in condition}
        if used:
            arguments["ExpressionAttributeNames"] = used
        put(
            f"condition: {name}",
            Item=item("types", **every),
            ConditionExpression=condition,
            **arguments,
        )


def updates(side, table):
    update, get = on(side, table, "update_item"), on(side, table, "get_item")
    values = {":two": {"N": "2"}, ":yes": {"S": "yes"}}
    count = {"Key": key("count"), "ExpressionAttributeValues": values}
    add = "ADD uses :two SET undispatched = :yes"
    for returned in ("UPDATED_NEW", "UPDATED_OLD", "ALL_OLD", "ALL_NEW", "NONE"):
        update(f"add and return {returned}", UpdateExpression=add, ReturnValues=returned, **count)
    update(
        "an update if the owner holds the lease",
        Key=key("count"),
        UpdateExpression="SET lease = :l REMOVE undispatched",
        ConditionExpression="attribute_not_exists(lease) OR lease <= :now",
        ExpressionAttributeValues={":l": {"N": "20"}, ":now": {"N": "10"}},
        ReturnValues="ALL_NEW",
    )
    update(
        "an update whose lease another holds",
        Key=key("count"),
        UpdateExpression="SET lease = :l",
        ConditionExpression="attribute_not_exists(lease) OR lease <= :now",
        ExpressionAttributeValues={":l": {"N": "30"}, ":now": {"N": "19"}},
        ReturnValuesOnConditionCheckFailure=RETURN_OLD,
    )
    update(
        "an update only of what is there",
        Key=key("absent"),
        UpdateExpression="SET a = :a",
        ConditionExpression="attribute_exists(entry)",
        ExpressionAttributeValues={":a": {"S": "x"}},
    )
    get("a lost update makes no item", Key=key("absent"))
    update("an update of nothing makes an item", Key=key("made"))
    get("the made item has its key alone", Key=key("made"))

    def work(name, expression, entry="work", names=None, **values):
        arguments = {"ExpressionAttributeNames": names} if names else {}
        if values:
            arguments["ExpressionAttributeValues"] = {f":{n}": v for n, v in values.items()}
        update(
            name,
            Key=key(entry),
            UpdateExpression=expression,
            ReturnValues="ALL_NEW",
            **arguments,
        )

    work("set a list and a map", "SET l = :l, m = :m, n = :n", l={"L": [{"S": "a"}]},
         m={"M": {"x": {"N": "1"}}}, n={"N": "10"})
    work("append to a list", "SET l = list_append(l, :l)", l={"L": [{"S": "b"}]})
    work("set an element of a list", "SET l[0] = :a", a={"S": "z"})
    work("set an element beyond the end", "SET l[9] = :a", a={"S": "end"})
    work("remove an element of a list", "REMOVE l[0]")
    work("set inside a map", "SET m.y = :a", a={"N": "2"})
    work("set inside an absent map", "SET absent.y = :a", a={"N": "2"})
    work("remove inside a map", "REMOVE m.x")
    work("remove what is absent", "REMOVE nothing")
    work("subtract", "SET n = n - :a", a={"N": "0.1"})
    work("add to an absent number", "SET fresh = fresh + :a", a={"N": "1"})
    work("if_not_exists", "SET k = if_not_exists(k, :zero) + :one", zero={"N": "0"},
         one={"N": "1"})
    work("if_not_exists again", "SET k = if_not_exists(k, :zero) + :one", zero={"N": "0"},
         one={"N": "1"})
    work("swap by the old values", "SET k = n, n = k")
    work("add to a set", "ADD tags :t", t={"SS": ["a", "b"]})
    work("delete from a set", "DELETE tags :t", t={"SS": ["a", "x"]})
    work("delete the last of a set", "DELETE tags :t", t={"SS": ["b"]})
    work("add a text to a number", "ADD n :t", t={"S": "1"})
    work("add to an attribute that is a list", "ADD l :t", t={"N": "1"})
    work("set the key", "SET entry = :t", t={"S": "other"})
    work("set one path twice", "SET n = :t, n = :t", t={"N": "1"})
    work("set overlapping paths", "SET m = :t, m.y = :t", t={"M": {}})
    work("two SET clauses", "SET n = :t SET k = :t", t={"N": "1"})
    work("an index key of another type", "SET undispatched = :t", t={"N": "1"})
    work("an empty index key", "SET undispatched = :t", t={"S": ""})


def deletes(side, table):
    delete, put = on(side, table, "delete_item"), on(side, table, "put_item")
    put("put what is deleted", Item=item("gone", n={"N": "1"}))
    one = {":n": {"N": "2"}}
    delete(
        "a lost conditional delete returns the old item",
        Key=key("gone"),
        ConditionExpression="n = :n",
        ExpressionAttributeValues=one,
        ReturnValuesOnConditionCheckFailure=RETURN_OLD,
    )
    delete("a delete returns the old item", Key=key("gone"), ReturnValues="ALL_OLD")
    delete("a delete of what is gone", Key=key("gone"), ReturnValues="ALL_OLD")
    delete(
        "a delete needs what is gone",
        Key=key("gone"),
        ConditionExpression="attribute_exists(n)",
    )
    delete("a delete cannot return the new item", Key=key("gone"), ReturnValues="ALL_NEW")


def queries(side, table):
    put, query = on(side, table, "put_item"), on(side, table, "query")
    for number in range(6):
        more = {"undispatched": {"S": "yes"}} if number % 2 else {}
        more["n"] = {"N": str(number)}
        put(f"put for queries {number}", Item=item(f"used#{number}", "q", **more))
    prefix = {
        "KeyConditionExpression": "coupon = :c AND begins_with(entry, :p)",
        "ExpressionAttributeValues": {":c": {"S": "q"}, ":p": {"S": "used#"}},
    }
    query("query by the beginning", **prefix)
    query("query backwards", ScanIndexForward=False, **prefix)
    query("count", Select="COUNT", **prefix)
    page = query("the first page", Limit=4, **prefix)
    start = {"ExclusiveStartKey": page.get("LastEvaluatedKey", key("used#3", "q"))}
    query("the last page", Limit=4, **start, **prefix)
    query("a page that ends with the items", Limit=6, **prefix)
    query("a page of none", Limit=0, **prefix)
    query("a start key that lacks the sort key", **prefix, ExclusiveStartKey={"coupon": {"S": "q"}})

    def by(name, condition, values, **more):
        texts = {f":{short}": {"S": value} for short, value in values.items()}
        others = more.pop("others", {})
        query(
            name,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=texts | others,
            **more,
        )

    by("query between", "coupon = :c AND entry BETWEEN :a AND :b",
       {"c": "q", "a": "used#1", "b": "used#3"})
    by("query above", "coupon = :c AND entry > :a", {"c": "q", "a": "used#3"})
    by("query between what is reversed", "coupon = :c AND entry BETWEEN :a AND :b",
       {"c": "q", "a": "used#3", "b": "used#1"})
    by("query an absent partition", "coupon = :c", {"c": "absent"})
    filtered = {"others": {":n": {"N": "2"}}, "FilterExpression": "n > :n"}
    by("query with a filter", "coupon = :c", {"c": "q"}, **filtered)
    by("a filter comes after the limit", "coupon = :c", {"c": "q"}, Limit=2, **filtered)
    by("query some attributes", "coupon = :c", {"c": "q"}, ProjectionExpression="entry, n", Limit=2)
    by("query a sparse index", "undispatched = :u", {"u": "yes"}, IndexName="undispatched",
       unordered=True)
    by("query what an index does not project", "undispatched = :u", {"u": "yes"},
       IndexName="undispatched", ProjectionExpression="n")
    by("read an index consistently", "undispatched = :u", {"u": "yes"}, IndexName="undispatched",
       ConsistentRead=True)
    by("query an absent index", "coupon = :c", {"c": "q"}, IndexName="absent")
    by("query without the partition", "entry = :e", {"e": "used#1"})
    by("query by an unequal partition", "coupon > :c", {"c": "q"})
    by("query with OR", "coupon = :c OR entry = :c", {"c": "q"})
    by("query by another attribute", "coupon = :c AND n = :c", {"c": "q"})
    by("filter by a key", "coupon = :c", {"c": "q"}, FilterExpression="entry = :c")
    by("project and count", "coupon = :c", {"c": "q"}, Select="COUNT", ProjectionExpression="n")
    query("query without a condition")


def scans(side, table):
    scan = on(side, table, "scan")
    scan("scan everything", unordered=True)
    scan("scan and count", Select="COUNT")
    scan("scan a sparse index", IndexName="undispatched", unordered=True)
    scan(
        "scan with a filter",
        FilterExpression="attribute_exists(n) AND coupon = :c",
        ExpressionAttributeValues={":c": {"S": "q"}},
        unordered=True,
    )
    scan("scan a segment of one", Segment=0, TotalSegments=1, Select="COUNT")
    scan("scan a segment beyond the last", Segment=2, TotalSegments=2)
    scan("scan a segment of an unknown number", Segment=0)
    side.step("dynamodb: scan an absent table", side.dynamodb.scan, TableName="absent")


def batches(side, table):
    write = side.dynamodb.batch_write_item
    get = side.dynamodb.batch_get_item

    def writes(name, requests):
        side.step(f"dynamodb: {name}", write, RequestItems={table: requests})

    def gets(name, keys, **more):
        items = {table: {"Keys": keys, **more}}
        side.step(f"dynamodb: {name}", get, unordered=True, RequestItems=items)

    def put(entry):
        return {"PutRequest": {"Item": item(entry, "b", n={"N": "1"})}}

    writes("write 25 items", [put(f"{number:03}") for number in range(25)])
    writes("write 26 items", [put(f"many{number}") for number in range(26)])
    writes("write no item", [])
    writes("write one item twice", [put("000"), put("000")])
    writes("put and delete one item", [put("both"), {"DeleteRequest": {"Key": key("both", "b")}}])
    writes("delete and put", [{"DeleteRequest": {"Key": key("001", "b")}}, put("x")])
    writes("a batch with a bad key", [put("y"), {"DeleteRequest": {"Key": {"coupon": {"S": "b"}}}}])
    gets("what a bad batch wrote", [key("y", "b")])
    gets("get three, one of them absent", [key(name, "b") for name in ("000", "001", "002")])
    gets("get some attributes of two", [key(name, "b") for name in ("000", "002")],
         ProjectionExpression="entry")
    gets("get one item twice", [key("000", "b"), key("000", "b")])
    gets("get 100 items", [key(f"{number:03}", "b") for number in range(100)], ConsistentRead=True)
    gets("get 101 items", [key(f"{number:03}", "b") for number in range(101)])
    gets("get no item", [])
    side.step("dynamodb: get of no table", get, RequestItems={})
    side.step("dynamodb: write to no table", write, RequestItems={})
    absent = {"absent": [put("z")]}
    side.step("dynamodb: a batch to an absent table", write, RequestItems=absent)


def transactions(side, table):
    def write(name, *items, **more):
        side.step(
            f"dynamodb: {name}", side.dynamodb.transact_write_items, TransactItems=items, **more
        )

    def put(entry, **more):
        return {"Put": {"TableName": table, "Item": item(entry, "t", n={"N": "1"}), **more}}

    def add(entry, by="1"):
        return {
            "Update": {
                "TableName": table,
                "Key": key(entry, "t"),
                "UpdateExpression": "ADD n :by",
                "ExpressionAttributeValues": {":by": {"N": by}},
            }
        }

    def check(entry, condition):
        keyed = {"TableName": table, "Key": key(entry, "t")}
        return {"ConditionCheck": {**keyed, "ConditionExpression": condition}}

    def delete(entry):
        return {"Delete": {"TableName": table, "Key": key(entry, "t")}}

    on_loss = {
        "ConditionExpression": IF_ABSENT,
        "ReturnValuesOnConditionCheckFailure": RETURN_OLD,
    }
    get = on(side, table, "get_item")
    write("a transaction commits", put("one", **on_loss), add("count"), check("absent", IF_ABSENT))
    write("a lost transaction gives its reasons", put("two"), put("one", **on_loss), add("count"))
    get("a lost transaction wrote nothing", Key=key("two", "t"), ConsistentRead=True)
    get("a lost transaction added nothing", Key=key("count", "t"), ConsistentRead=True)
    write("every reason is given", put("one", **on_loss), check("count", IF_ABSENT),
          check("absent", "attribute_exists(entry)"))
    write("a transaction deletes", delete("one"), put("three"))
    write("a transaction names one item twice", put("three"), check("three", IF_ABSENT))
    token = {"ClientRequestToken": f"token-{side.run}"}
    write("a transaction with a token", add("token"), **token)
    write("a transaction again with its token", add("token"), **token)
    get("a token counts once", Key=key("token", "t"), ConsistentRead=True)
    write("another transaction with that token", add("token", "5"), **token)
    write("a token that is too long", add("token"), ClientRequestToken="x" * 37)
    write("a transaction of 100 items", *[put(f"{number:03}") for number in range(100)])
    write("a transaction of 101 items", *[put(f"{number:03}") for number in range(101)])
    write("a transaction of none")
    write("a transaction on an absent table", {"Put": {"TableName": "absent", "Item": item("x")}})
    half_a_key = {"coupon": {"S": "t"}}
    write("a transaction with a bad key", {"Delete": {"TableName": table, "Key": half_a_key}})
    write("a transaction adds a text", put("four"), {
        "Update": {
            "TableName": table,
            "Key": key("three", "t"),
            "UpdateExpression": "ADD n :by",
            "ExpressionAttributeValues": {":by": {"S": "x"}},
        }
    })
    get("a wrong transaction wrote nothing", Key=key("four", "t"), ConsistentRead=True)

    def reads(name, *entries, **more):
        gets = [{"Get": {"TableName": table, "Key": key(entry, "t"), **more}} for entry in entries]
        side.step(f"dynamodb: {name}", side.dynamodb.transact_get_items, TransactItems=gets)

    reads("read in a transaction", "three", "absent", "count")
    reads("read some attributes in a transaction", "three", ProjectionExpression="n")
    reads("read one item twice in a transaction", "three", "three")
    reads("read 101 items in a transaction", *[f"{number:03}" for number in range(101)])
