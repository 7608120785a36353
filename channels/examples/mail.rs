//! Writes a sample's mail as HTML, to look at it in a browser:
//! `cargo run -p channels --example mail -- zupy-coupon-redeemed pt-BR redeemed > mail.html`.

use anyhow::{Context, bail};
use channels::texts::{Coupon, Language, Occasion, email};
use jiff::tz::TimeZone;
use webhooks::event::Fact;
use webhooks::provider::{Content, RecordedBody, read_recorded, zupy};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [sample, language, occasion] = &arguments[..] else {
        bail!("usage: mail <sample> <language> <redeemed|expiring>");
    };
    let language = Language::of_tag(language).context("no such language")?;
    let occasion = match occasion.as_str() {
        "redeemed" => Occasion::Redeemed,
        "expiring" => Occasion::Expiring,
        _ => bail!("the occasion is redeemed or expiring"),
    };

    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../events/samples");
    let body =
        std::fs::read_to_string(format!("{folder}/{sample}.json")).context("no such sample")?;
    let content = read_recorded(&RecordedBody {
        provider: zupy::NAME,
        scheme: zupy::V1.name,
        tenant: "comp_bella_vista",
        body: &body,
        time_zone: None,
    });
    let Some(Content::Event(event)) = content else {
        bail!("not a sample of Zupy's first format");
    };
    let Fact::Redeemed(redemption) = &event.fact else {
        bail!("not a sample of a redemption");
    };
    let coupon = Coupon {
        name: event.member.name.as_deref(),
        code: &redemption.coupon_code,
        reward: &redemption.reward,
        discount: redemption.discount.as_ref(),
        expires_at: redemption.expires_at,
    };
    let time_zone = TimeZone::get("America/Sao_Paulo")?;
    print!("{}", email(language, occasion, &coupon, &time_zone).html);
    Ok(())
}
