//! The row of each sample's event in the events table: its size, and its cost.

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde_json::json;
use webhooks::config::CallLimits;
use webhooks::ledger::{Ledger, Recorded};
use webhooks::provider::aghanim::{self, Aghanim};
use webhooks::provider::zupy::{self, Zupy};
use webhooks::provider::{Content, Provider, read_verified};
use webhooks::request::Request;
use webhooks::verify::{Scheme, Secrets, verify_all};

use crate::counted::Cost;
use crate::tables::CountedTables;

macro_rules! samples {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../events/samples/", $name, ".json")))),*]
    };
}

/// The samples, each with its name.
pub const SAMPLES: [(&str, &str); 15] = samples![
    "aghanim-coupon-redeemed",
    "aghanim-coupon-redeemed-bundle",
    "zupy-coupon-redeemed",
    "zupy-coupon-redeemed-percentage",
    "zupy-coupon-used",
    "zupy-coupon-used-percentage",
    "zupy-customer-registered",
    "zupy-test-coupon-redeemed",
    "zupy-test-coupon-used",
    "zupy-v2-coupon-cancelled",
    "zupy-v2-coupon-expired",
    "zupy-v2-coupon-expiring",
    "zupy-v2-coupon-used",
    "zupy-v2-customer-enrolled",
    "zupy-v2-reward-redeemed",
];

/// Records a body as a webhook function does.
pub async fn record(tables: &CountedTables, body: &str) -> anyhow::Result<Cost> {
    let is_aghanim = body.contains("\"event_type\"");
    let (provider, schemes) = match is_aghanim {
        true => (aghanim::NAME, Aghanim.schemes()),
        false => (zupy::NAME, Zupy::every_event().schemes()),
    };
    let ledger = tables.worker("zupy", |environment, aws| {
        Ledger::read(environment, aws, CallLimits::WEBHOOK)
    })?;
    let now = Timestamp::now();
    let secrets = Secrets::parse("comp_bella_vista=a-secret-of-some-length")?;
    let is_v2 = body.contains("\"webhook_id\"");
    let scheme = |it: &&Scheme| is_aghanim || (it.name == zupy::V2.name) == is_v2;
    let scheme = schemes.iter().find(scheme).context("there is a scheme")?;
    let headers: serde_json::Map<_, _> = scheme
        .sign(body.as_bytes(), secrets.first(), now)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    let event = json!({
        "version": "2.0",
        "requestContext": {"http": {"method": "POST"}},
        "headers": headers,
        "body": body,
    });
    let event = serde_json::value::to_raw_value(&event)?;
    let request = Request::read(&event);
    let verified = verify_all(schemes, &request.headers, body.as_bytes(), &secrets)?;
    let (verified, _) = verified.first().context("it is genuine")?;
    let Some(Content::Event(mut event)) = read_verified(provider, verified) else {
        bail!("the sample is no event");
    };
    tables.counted().take();
    let recorded = ledger.record(&mut event, verified, now, now).await?;
    anyhow::ensure!(recorded == Recorded::New, "it is recorded already");
    Ok(tables.counted().take())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// DynamoDB counts each started KB: a row of 1,025 bytes costs twice as much as one of 1,024.
    #[tokio::test]
    async fn every_sample_costs_one_write_unit() {
        for (name, body) in SAMPLES {
            let compact: serde_json::Value = serde_json::from_str(body).unwrap();
            for body in [body.to_owned(), compact.to_string()] {
                let cost = record(&CountedTables::new().unwrap(), &body).await.unwrap();
                assert!(cost.item_bytes <= 1024, "{name}: {} bytes", cost.item_bytes);
                assert_eq!(cost.write_units, 1.0, "{name}");
            }
        }
    }

    #[test]
    fn every_sample_is_measured() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/samples");
        let files = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = files
            .map(|row| {
                row.unwrap()
                    .path()
                    .file_stem()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort_unstable();
        assert_eq!(names, SAMPLES.map(|(name, _)| name));
    }
}
