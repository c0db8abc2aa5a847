/*!
All policies of a proxy, found by host and path.
*/
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use xxhash_rust::xxh64::{Xxh64Builder, xxh64};

use crate::document::{Entry, Parts, VERSION_HEADER, parts, read_policy};
use crate::host;
use crate::lease::Lease;
use crate::matching::without_query;
use crate::place::Proxy;
use crate::policy::Policy;
use crate::refusal::{Kind, Refusal};
use crate::rule;

/// Policies by host and path prefix. One lookup costs a hash of the host, however many releases there are; only
/// where there are wildcards do they add one per label.
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: Vec<Row>,
    by_name: HashMap<String, usize, Xxh64Builder>,
    by_host: HashMap<String, Vec<usize>, Xxh64Builder>,
    has_wildcards: bool,
    /// The row that each text of a policy was read into, by its hash: what has not changed is taken over as it is.
    by_text: HashMap<u64, usize, Xxh64Builder>,
    /// The headers that carry versions, each once.
    version_headers: Vec<String>,
    /// Of each row, when its lease runs out, in seconds since 1970; none if it has none.
    leases: Vec<Option<u64>>,
}

#[derive(Debug, Clone)]
struct Row {
    hosts: Arc<[String]>,
    prefix: Arc<str>,
    policy: Arc<Policy>,
}

impl Table {
    /// Reads the document `json` for `proxy`.
    ///
    /// What cannot be read never takes away what worked: a refused policy stays in force as it was in
    /// `last_good`, and so does everything when the document itself is refused. It stays no longer than it was to be:
    /// its last lease runs out, unless this document has a newer one.
    pub fn read(json: &[u8], proxy: &Proxy, last_good: &Self) -> (Self, Vec<Refusal>) {
        let Parts { policies, leases } = match parts(json) {
            Ok(parts) => parts,
            Err(refusal) => return (last_good.clone(), vec![refusal]),
        };
        let (mut table, mut refusals) = (Self::default(), Vec::new());
        let mut kept = Vec::new();
        for (i, text) in policies.into_iter().enumerate() {
            let hash = xxh64(text.get().as_bytes(), 0);
            if let Some(row) = last_good.row_of(hash)
                && table.add(row.clone(), proxy).is_ok()
            {
                table.by_text.insert(hash, table.rows.len() - 1);
                continue;
            }
            let Entry { name, spec } = read_policy(text);
            let added = spec.and_then(|spec| {
                let row = Row {
                    hosts: spec.hosts.clone().into(),
                    // `/shop/` and `/shop` are the same prefix, and must be seen to be.
                    prefix: match spec.path_prefix.as_str() {
                        "/" => "/",
                        path => path.strip_suffix('/').unwrap_or(path),
                    }
                    .into(),
                    policy: Arc::new(Policy::compile(spec, proxy.place)?),
                };
                table.add(row, proxy)?;
                table.by_text.insert(hash, table.rows.len() - 1);
                Ok(())
            });
            if let Err(refusal) = added {
                refusals.push(refusal.within(&format!("policies[{i}]"), name.as_deref()));
                kept.extend(name.filter(|name| table.policy(name).is_none()));
            }
        }
        let new = table.rows.len();
        for row in last_good.rows.iter().filter(|row| kept.iter().any(|name| name == row.policy.name())) {
            // Another policy of the new document may have taken over its host; then there is nothing to keep.
            let _ = table.add(row.clone(), proxy);
        }
        let last = |policy: &Policy| last_good.until(*last_good.by_name.get(policy.name())?);
        let until = |(at, row): (usize, &Row)| match &leases {
            Ok(leases) => leases.until(row.policy.name()).or_else(|| last(&row.policy).filter(|_| at >= new)),
            Err(_) => last(&row.policy),
        };
        table.leases = table.rows.iter().enumerate().map(until).collect();
        refusals.extend(leases.err());
        (table, refusals)
    }

    fn add(&mut self, row: Row, proxy: &Proxy) -> Result<(), Refusal> {
        let name = row.policy.name();
        if self.policy(name).is_some() {
            let value = format!("{name:?}");
            return Err(Refusal::new(Kind::Duplicate, "name", value, "name every policy once"));
        }
        rule::PATH_PREFIX.check("pathPrefix", &row.prefix)?;
        if row.hosts.is_empty() {
            return Err(Refusal::new(Kind::Invalid, "hosts", "[]", "give at least one host, * for all"));
        }
        let mut keys = Vec::new();
        for (i, host) in row.hosts.iter().enumerate() {
            let field = format!("hosts[{i}]");
            for key in host::keys(host, proxy.namespace.as_deref())
                .map_err(|refusal| refusal.within(&field, None))?
            {
                if let Some((_, earlier)) =
                    self.claims(&key).find(|(_, earlier)| earlier.prefix == row.prefix)
                {
                    let value = format!("{key:?} with path {}", row.prefix);
                    let hint =
                        format!("already claimed by {}: give another host or path", earlier.policy.name());
                    return Err(Refusal::new(Kind::Duplicate, field, value, hint));
                }
                keys.push(key);
            }
        }
        let header = row.policy.request_header();
        if !self.version_headers.iter().any(|known| known == header) {
            self.version_headers.push(header.to_owned());
        }
        let index = self.rows.len();
        self.by_name.insert(name.to_owned(), index);
        self.has_wildcards |= keys.iter().any(|key| key.starts_with('*'));
        self.rows.push(row);
        for key in keys {
            let claims = self.by_host.entry(key).or_default();
            // A host listed in two spellings that come to the same key is claimed once.
            if !claims.contains(&index) {
                claims.push(index);
            }
            // The longest prefix is looked at first.
            claims.sort_by_key(|&at| std::cmp::Reverse(self.rows.get(at).map_or(0, |row| row.prefix.len())));
        }
        Ok(())
    }

    fn row_of(&self, text: u64) -> Option<&Row> {
        self.rows.get(*self.by_text.get(&text)?)
    }

    fn claims(&self, key: &str) -> impl Iterator<Item = (usize, &Row)> {
        self.by_host.get(key).into_iter().flat_map(|claims| self.rows_at(claims))
    }

    fn rows_at<'t>(&'t self, places: &'t [usize]) -> impl Iterator<Item = (usize, &'t Row)> {
        places.iter().filter_map(|&at| Some((at, self.rows.get(at)?)))
    }

    /// The policy for a request to `authority`, with its place among [`policies`](Self::policies). `path` is asked
    /// for only when it matters.
    pub fn find<'t>(
        &'t self,
        authority: &[u8],
        path: impl Fn() -> Option<Vec<u8>>,
    ) -> Option<(usize, &'t Arc<Policy>)> {
        // What is no text is no host, but `*` answers for every request.
        let authority = std::str::from_utf8(authority).unwrap_or_default();
        let authority = if authority.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(authority.to_ascii_lowercase())
        } else {
            Cow::Borrowed(authority)
        };
        let path = std::cell::LazyCell::new(|| path().unwrap_or_default());
        let answers = |row: &Row| &*row.prefix == "/" || is_under(&path, row.prefix.as_bytes());
        let claim = |claims: &'t Vec<usize>| {
            self.rows_at(claims).find(|(_, row)| answers(row)).map(|(at, row)| (at, &row.policy))
        };
        // A proxy goes by the routes of the host that fits best, and by no other's: where no policy for that one answers, none
        // does. With its port and without it is one host.
        let spellings = host::exact(&authority).into_iter().flatten();
        let mut exact = spellings.filter_map(|key| self.by_host.get(&*key)).peekable();
        if exact.peek().is_some() {
            return exact.find_map(claim);
        }
        // A host that proxies make of another, for copies of its requests, is nobody's but whose own it is.
        let many = self.has_wildcards && !host::is_shadow(&authority);
        let mut wildcards = many.then(|| host::wildcards(&authority)).into_iter().flatten();
        wildcards.find_map(|key| self.by_host.get(&*key)).and_then(claim)
    }

    /// When the lease of the policy at `index` runs out, in seconds since 1970. One that has nobody to take off the canary has
    /// none: it is closed, or the canary is becoming stable, and there may be no other version to go to.
    pub fn until(&self, index: usize) -> Option<u64> {
        let policy = &self.rows.get(index)?.policy;
        self.leases.get(index).copied().flatten().filter(|_| !policy.is_closed() && !policy.is_promoted())
    }

    /// The same of the policy `name`.
    pub fn until_of(&self, name: &str) -> Option<u64> {
        self.until(*self.by_name.get(name)?)
    }

    /// How it is with the lease of the policy at `index`.
    pub fn lease(&self, index: usize, now_ns: impl FnOnce() -> u64) -> Lease {
        Lease::at(self.until(index), now_ns)
    }

    /// The headers by which routes know the version. None of a client's may reach them.
    pub fn version_headers(&self) -> impl Iterator<Item = &str> {
        // While nothing is known, routes may be there all the same.
        let unknown = self.rows.is_empty().then_some(VERSION_HEADER);
        self.version_headers.iter().map(String::as_str).chain(unknown)
    }

    /// Whether there is no policy at all.
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The policy of this name.
    pub fn policy(&self, name: &str) -> Option<&Arc<Policy>> {
        self.rows.get(*self.by_name.get(name)?).map(|row| &row.policy)
    }

    /// The place of this very policy among [`policies`](Self::policies), if it was taken over into another document or from one.
    pub fn place_of(&self, policy: &Arc<Policy>) -> Option<usize> {
        let at = *self.by_name.get(policy.name())?;
        Arc::ptr_eq(&self.rows.get(at)?.policy, policy).then_some(at)
    }

    /// All policies, in the document's order.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.rows.iter().map(|row| &row.policy)
    }
}

/// Whether `path` is `prefix` or lies under it by whole segments, as the Gateway API's `PathPrefix` has it.
fn is_under(path: &[u8], prefix: &[u8]) -> bool {
    let prefix = prefix.strip_suffix(b"/").unwrap_or(prefix);
    without_query(path).strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}
