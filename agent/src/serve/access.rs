/*!
Who may read of a release by the agent's port: whoever may read the Release itself, by the API server's word.
*/
use axum::http::{HeaderMap, StatusCode, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
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
    let user = found.user.filter(|_| found.authenticated == Some(true));
    let Some(user) = user else {
        let text = "the API server does not know this token: it may have expired\n";
        return Err((StatusCode::UNAUTHORIZED, text.to_owned()));
    };
    let who = user.username.clone().unwrap_or_default();
    let spec = SubjectAccessReviewSpec {
        user: user.username,
        groups: user.groups,
        uid: user.uid,
        extra: user.extra,
        resource_attributes: Some(ResourceAttributes {
            group: Some("serin.dev".to_owned()),
            resource: Some("releases".to_owned()),
            verb: Some("get".to_owned()),
            namespace: Some(namespace.to_owned()),
            name: Some(name.to_owned()),
            ..ResourceAttributes::default()
        }),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { metadata: ObjectMeta::default(), spec, status: None };
    let reviewed =
        Api::<SubjectAccessReview>::all(client.clone()).create(&PostParams::default(), &review).await;
    let reviewed = reviewed.map_err(|error| unanswered("subjectaccessreviews", &error))?;
    if reviewed.status.is_some_and(|status| status.allowed) {
        return Ok(());
    }
    Err((
        StatusCode::FORBIDDEN,
        format!(
            "{who} may not get releases.serin.dev in {namespace}: the ClusterRole serin-viewer gives that right\n"
        ),
    ))
}

fn unanswered(resource: &str, error: &kube::Error) -> Refused {
    let text = format!(
        "the API server does not say who may read; the agent asks it by creating {resource}: {}\n",
        chain(error)
    );
    (StatusCode::SERVICE_UNAVAILABLE, text)
}
