//! The catalogue: which product a reward, or an item of an order, is.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;

use super::{REWARD, Stock, read_mapping};
use crate::event::escape;
use crate::ledger::{ItemKey, read_all};
use crate::product_name::identity;

/// Products by the tenant's key and the identity of a name.
#[derive(Debug, Clone, Default)]
pub struct Catalogue(BTreeMap<(String, String), String>);

impl Catalogue {
    /// The name of the product that a reward or an item is: the catalogue's entry, else the product
    /// of the same name.
    pub fn product(&self, tenant: &str, name: &str) -> String {
        let known = self.0.get(&(tenant.to_owned(), identity(name)));
        known.map_or(name, String::as_str).to_owned()
    }

    /// The entries for these names, each with its tenant's key.
    pub fn only(&self, names: &BTreeSet<(String, String)>) -> Self {
        let keys = names
            .iter()
            .map(|(tenant, name)| (tenant.clone(), identity(name)));
        let known = keys.filter_map(|key| Some((key.clone(), self.0.get(&key)?.clone())));
        Self(known.collect())
    }
}

impl Stock {
    /// Reads the catalogue's entries for names of rewards or items, each with its tenant's key.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn catalogue(&self, names: &BTreeSet<(String, String)>) -> anyhow::Result<Catalogue> {
        let keys: BTreeSet<_> = names
            .iter()
            .flat_map(|(tenant, name)| {
                [
                    Some(self.reward(tenant, name)),
                    self.old_reward(tenant, name),
                ]
            })
            .flatten()
            .collect();
        let keys: Vec<_> = keys.into_iter().collect();
        let rows = read_all(&self.client, &keys, &[])
            .await
            .context("reading the catalogue")?;
        let mut catalogue = BTreeMap::new();
        // Rows that today's code wrote come last, so they count.
        let (new, old): (Vec<_>, Vec<_>) = rows.iter().partition(|row| self.is_united(row));
        for mapping in old.into_iter().chain(new).filter_map(read_mapping) {
            let key = (mapping.tenant, identity(&mapping.reward));
            catalogue.insert(key, mapping.product);
        }
        Ok(Catalogue(catalogue))
    }

    /// The key of a reward's entry in the catalogue.
    pub(super) fn reward(&self, tenant: &str, reward: &str) -> ItemKey {
        let entry = format!("{REWARD}{}", escape(&identity(reward)));
        ItemKey::new(&self.table, ("tenant", tenant), ("entry", entry))
    }

    /// The key that this entry had before each product had one key, if that key differs from
    /// today's.
    pub(super) fn old_reward(&self, tenant: &str, reward: &str) -> Option<ItemKey> {
        self.old_key(tenant, REWARD, reward)
    }
}
