"""SES v2: e-mails with their recipients, bodies, headers and tags."""

SENDER = "Shop <shop@example.com>"


def content(**body):
    return {"Simple": {"Subject": {"Data": "Cupom é"}, "Body": body}}


def play(side):
    # SES sends only for an identity that is verified. The local system takes every sender.
    try:
        side.ses.create_email_identity(EmailIdentity="example.com")
    except side.ses.exceptions.ClientError:
        pass
    text, html = {"Data": "CP-1 é", "Charset": "UTF-8"}, {"Data": "<b>CP-1</b>"}
    usual = {
        "FromEmailAddress": SENDER,
        "Destination": {"ToAddresses": ["ana@example.org"]},
        "Content": content(Text=text, Html=html),
    }

    def send(name, without=(), **more):
        arguments = {key: value for key, value in (usual | more).items() if key not in without}
        side.step(f"ses: send {name}", side.ses.send_email, **arguments)

    def to(*addresses):
        return {"ToAddresses": list(addresses)}

    def headers(*pairs):
        simple = content(Text=text)["Simple"]
        named = [{"Name": name, "Value": value} for name, value in pairs]
        return {"Simple": simple | {"Headers": named}}

    send("an e-mail")
    send("a text alone", Content=content(Text=text))
    send("HTML alone", Content=content(Html=html))
    send("to a name", Destination=to("Ana Ç <ana@example.org>"))
    send("to fifty", Destination=to(*(f"c{n}@example.org" for n in range(50))))
    copies = {"CcAddresses": ["a@example.org"], "BccAddresses": ["b@example.org"]}
    send("in copy", Destination=copies)
    send("with tags", EmailTags=[{"Name": "event", "Value": "redeemed"}])
    send("with an address for replies", ReplyToAddresses=["help@example.com"])
    send("with a header", Content=headers(("X-Event-Key", "zupy#1")))
    send("to fifty-one", Destination=to(*(f"c{n}@example.org" for n in range(51))))
    send("to what is no address", Destination=to("ana"))
    send("to nobody", Destination={})
    send("to an empty address", Destination=to(""))
    send("from what is no address", FromEmailAddress="shop")
    send("from nobody", without=("FromEmailAddress",))
    send("no content", without=("Content",))
    send("no body", Content=content())
    send("no subject", Content={"Simple": {"Body": {"Text": text}}})
    send("a tag of a bad name", EmailTags=[{"Name": "a b", "Value": "x"}])
    send("a tag of a bad value", EmailTags=[{"Name": "event", "Value": "zupy#1"}])
    send("replies to what is no address", ReplyToAddresses=["help"])
    send("a header of a bad name", Content=headers(("X Event", "x")))
    send("a header of two lines", Content=headers(("X-Event", "a\r\nb")))
    template = {"TemplateName": "absent", "TemplateData": "{}"}
    send("an absent template", Content={"Template": template})
