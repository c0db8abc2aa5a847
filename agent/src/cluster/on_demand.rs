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
        Self { api, kind, slim, on_change: Arc::new(on_change), store: Arc::default() }
    }

    /// The object of this name, once the store knows it.
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        let keep = || {
            let on_change = Arc::clone(&self.on_change);
            keep_slim(self.api.clone(), self.kind.clone(), self.slim, move |object| on_change(object))
        };
        let object = ObjectRef::new_with(name, self.kind.clone()).within(namespace);
        self.store.get_or_init(keep).get(&object)
    }
}
