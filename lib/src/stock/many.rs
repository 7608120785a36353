//! Reads the stock of several tenants with few requests.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;

use super::{Contents, Stock};

/// Up to this many tenants are read one by one. Of more, the whole table is read.
const ONE_BY_ONE_MAX: usize = 3;

/// How many megabytes of the table are read, one in each request. A product takes about 300 bytes.
const PAGES_MAX: usize = 2;

impl Stock {
    /// Reads everything of these tenants, given by their keys. For more than three tenants and a
    /// table of more than 2 MB, the answer is `None`: reading would take long, so the caller should
    /// ask for one tenant.
    ///
    /// # Errors
    /// As [`Stock::contents`].
    pub async fn contents_of(&self, tenants: &[String]) -> anyhow::Result<Option<Contents>> {
        if tenants.len() <= ONE_BY_ONE_MAX {
            let reads = tenants.iter().map(|tenant| self.rows(Some(tenant)));
            let rows = try_join_all(reads).await?;
            let rows = rows.into_iter().flatten().collect();
            return self.read_contents(rows).map(Some);
        }
        let scan = self.client.scan().table_name(&self.table);
        let mut scan = scan.consistent_read(true);
        let mut rows = Vec::new();
        for _ in 0..PAGES_MAX {
            let page = scan.clone().send().await?;
            rows.extend(page.items.unwrap_or_default());
            if page.last_evaluated_key.is_none() {
                let tenants: BTreeSet<_> = tenants.iter().map(String::as_str).collect();
                let mut contents = self.read_contents(rows)?;
                let is_theirs = |tenant: &str| tenants.contains(tenant);
                contents.products.retain(|it| is_theirs(&it.tenant));
                contents.catalogue.retain(|it| is_theirs(&it.tenant));
                return Ok(Some(contents));
            }
            scan = scan.set_exclusive_start_key(page.last_evaluated_key);
        }
        Ok(None)
    }
}
