/*!
Who may read of a release by the agent's port: whoever may read the Release itself, by the API server's word.
*/
use std::collections::BTreeSet;

use axum::http::{HeaderMap, StatusCode, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Client;
use kube::api::{Api, PostParams};
use kube::core::ObjectMeta;

use crate::errors::chain;

/// Why somebody may not read, with what to do.
pub(super) type Refused = (StatusCode, String);

/// Whether the bearer token in `headers` is of somebody who may read the Release `namespace/name`.
///
/// # Errors
/// When it is not, or the API server does not say.
pub(super) async fn may_read(
    client: &Client,
    headers: &HeaderMap,
    namespace: &str,
    name: &str,
) -> Result<(), Refused> {
    let user = who(client, headers).await?;
    if may(client, &user, "get", Some(namespace), Some(name)).await? {
        return Ok(());
    }
    Err(forbidden(&user, &format!("get releases.serin.dev in {namespace}")))
}

/// Those of `namespaces` whose Releases whoever has the bearer token in `headers` may list.
///
/// # Errors
/// When it is nobody's, or there is none, or the API server does not say.
pub(super) async fn readable(
    client: &Client,
    headers: &HeaderMap,
    namespaces: BTreeSet<String>,
) -> Result<BTreeSet<String>, Refused> {
    let user = who(client, headers).await?;
    if may(client, &user, "list", None, None).await? {
        return Ok(namespaces);
    }
    let mut readable = BTreeSet::new();
    for namespace in namespaces {
        if may(client, &user, "list", Some(&namespace), None).await? {
            readable.insert(namespace);
        }
    }
    if readable.is_empty() {
        return Err(forbidden(&user, "list releases.serin.dev in any namespace that has one"));
    }
    Ok(readable)
}

/// Whose the bearer token in `headers` is.
async fn who(client: &Client, headers: &HeaderMap) -> Result<UserInfo, Refused> {
    let token =
        headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let Some(token) = token else {
        let hint = "send Authorization: Bearer TOKEN, such as one that `kubectl create token` makes";
        return Err((StatusCode::UNAUTHORIZED, format!("no token: {hint}\n")));
    };
    let review = TokenReview {
        metadata: ObjectMeta::default(),
        spec: TokenReviewSpec { token: Some(token.to_owned()), audiences: None },
        status: None,
    };
    let reviewed = Api::<TokenReview>::all(client.clone()).create(&PostParams::default(), &review).await;
    let found = reviewed.map_err(|error| unanswered("tokenreviews", &error))?.status.unwrap_or_default();
    found.user.filter(|_| found.authenticated == Some(true)).ok_or_else(|| {
        let text = "the API server does not know this token: it may have expired\n";
        (StatusCode::UNAUTHORIZED, text.to_owned())
    })
}

/// Whether `user` may do that with Releases: with those of a namespace, or of all; with one of them, or with all.
async fn may(
    client: &Client,
    user: &UserInfo,
    verb: &str,
    namespace: Option<&str>,
    name: Option<&str>,
) -> Result<bool, Refused> {
    let UserInfo { username, groups, uid, extra } = user.clone();
    let spec = SubjectAccessReviewSpec {
        user: username,
        groups,
        uid,
        extra,
        resource_attributes: Some(ResourceAttributes {
            group: Some("serin.dev".to_owned()),
            resource: Some("releases".to_owned()),
            verb: Some(verb.to_owned()),
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
            ..ResourceAttributes::default()
        }),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { metadata: ObjectMeta::default(), spec, status: None };
    let reviewed =
        Api::<SubjectAccessReview>::all(client.clone()).create(&PostParams::default(), &review).await;
    let reviewed = reviewed.map_err(|error| unanswered("subjectaccessreviews", &error))?;
    Ok(reviewed.status.is_some_and(|status| status.allowed))
}

fn forbidden(user: &UserInfo, what: &str) -> Refused {
    let who = user.username.as_deref().unwrap_or_default();
    (StatusCode::FORBIDDEN, format!("{who} may not {what}: the ClusterRole serin-viewer gives that right\n"))
}

fn unanswered(resource: &str, error: &kube::Error) -> Refused {
    let text = format!(
        "the API server does not say who may read; the agent asks it by creating {resource}: {}\n",
        chain(error)
    );
    (StatusCode::SERVICE_UNAVAILABLE, text)
}
