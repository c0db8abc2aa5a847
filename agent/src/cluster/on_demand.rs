/*!
Stores that few Releases use, of objects that a cluster may not know: each is kept from when it is first asked for.
*/
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, OnceLock};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::api::Api;
use kube::runtime::reflector::{ObjectRef, Store};
use serde::de::DeserializeOwned;

use super::stores::keep_slim;
use super::watching::{Sight, Unseen};

/// What is called with whatever has changed, or with nothing when all of it may have.
type OnChange<K> = Arc<dyn Fn(Option<&K>) + Send + Sync>;

/// A store that is kept from when it is first asked for.
#[derive(Clone)]
pub(super) struct OnDemand<K: Resource + 'static>
where
    K::DynamicType: Eq + Hash,
{
    api: Api<K>,
    kind: K::DynamicType,
    slim: fn(&mut ObjectMeta),
    on_change: OnChange<K>,
    store: Arc<OnceLock<Store<K>>>,
    sight: Sight,
}

/// What a store knows of an object.
pub(super) enum Known<K> {
    There(Arc<K>),
    Missing,
    /// There may be one.
    Unseen(Unseen),
}

impl<K> OnDemand<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Clone + Eq + Hash + Send + Sync,
{
    pub(super) fn new(
        api: Api<K>,
        kind: K::DynamicType,
        slim: fn(&mut ObjectMeta),
        on_change: impl Fn(Option<&K>) + Send + Sync + 'static,
    ) -> Self {
        let (on_change, store, sight) = (Arc::new(on_change), Arc::default(), Sight::default());
        Self { api, kind, slim, on_change, store, sight }
    }

    /// Whether all of them are known, once one was asked for.
    ///
    /// # Errors
    /// Why they are not.
    pub(super) fn sight(&self) -> Result<(), Unseen> {
        self.sight.get()
    }

    /// What is known of the object of this name.
    pub(super) fn get(&self, namespace: &str, name: &str) -> Known<K> {
        let keep = || {
            let (on_change, sight) = (Arc::clone(&self.on_change), self.sight.clone());
            keep_slim(self.api.clone(), self.kind.clone(), sight, self.slim, move |object| on_change(object))
        };
        let object = ObjectRef::new_with(name, self.kind.clone()).within(namespace);
        let store = self.store.get_or_init(keep);
        // Whoever knows all knows it of the store as it is by now.
        match (self.sight.get(), store.get(&object)) {
            (_, Some(found)) => Known::There(found),
            (Ok(()), None) => Known::Missing,
            (Err(unseen), None) => Known::Unseen(unseen),
        }
    }
}
