/*!
Tokens of service accounts: who shows one is that account.
*/
use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client};

/// A token of an account for `audiences`; for none, it is the API server's own.
pub(super) async fn token(
    client: &Client,
    namespace: &str,
    account: &str,
    audiences: &[&str],
) -> Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let audiences = audiences.iter().map(|&audience| audience.to_owned()).collect();
    let spec = TokenRequestSpec { audiences, ..TokenRequestSpec::default() };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let answer = accounts.create_token_request(account, &PostParams::default(), &request).await?;
    Ok(answer.status.context("a token request is answered with a token")?.token)
}
