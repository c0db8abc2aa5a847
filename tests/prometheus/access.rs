//! How a Prometheus is reached, and as whom.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect};
use axum::routing::post;
use futures::stream;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use serin_agent::observe::prometheus::{Client, MOST_SERIES};
use serin_release::prometheus::{Access, BasicAuth, Settings};
use serin_tests::exporter::serve;
use serin_tests::prometheus::{Options, Prometheus};
use serin_tests::site::run;

use crate::{check, client, said, settings};

/// What becomes of the query `1` with these settings.
async fn with(settings: Settings) -> Result<String> {
    let client = Client::new(Access::try_from(settings)?)?;
    Ok(said(&client, "1").await)
}

#[test]
fn a_user_is_let_in_with_the_right_password_only() -> Result<()> {
    run(async {
        // bcrypt of "open sesame"
        let hash = "$2a$04$Btfs3aFJgV8OMEEuhQImhuZ4fK0SX11Vft81iLy.EruD3slDClfYy";
        let options = Options::new()?.guarded(json!({"basic_auth_users": {"ann": hash}}));
        let file = options.folder().join("password");
        let prometheus = Prometheus::start(options).await?;
        let basic = BasicAuth { username: "ann".to_owned(), password_file: file.clone() };
        let ann = Settings { basic_auth: Some(basic), ..settings(&prometheus.url()) };
        check(&with(ann.clone()).await?, &["basicAuth.passwordFile: cannot read", "password"]);
        fs::write(&file, "wrong\n")?;
        let url = format!("{}/api/v1/query", prometheus.url());
        check(&with(ann.clone()).await?, &[&url, "answers 401", "give bearerTokenFile or basicAuth"]);
        fs::write(&file, "open sesame\n")?;
        check(&with(ann).await?, &["Scalar(1.0)"]);
        check(&with(settings(&prometheus.url())).await?, &["answers 401"]);
        Ok(())
    })
}

#[test]
fn a_token_and_headers_go_with_every_query_and_a_new_token_is_taken_at_once() -> Result<()> {
    run(async {
        let options = Options::new()?;
        let file = options.folder().join("token");
        let prometheus = Prometheus::start(options).await?;
        let behind = prometheus.url();
        let guard = async move |headers: HeaderMap, form: Bytes| {
            let has = |name, value| headers.get(name).is_some_and(|header| header == value);
            if !has("authorization", "Bearer fresh") || !has("x-scope-orgid", "shop") {
                return StatusCode::FORBIDDEN.into_response();
            }
            let http = serin_agent::http::plain().build().expect("a client without TLS can always be built");
            let request = http.post(format!("{behind}/api/v1/query")).body(form);
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            let answer = request.send().await.expect("Prometheus answers");
            answer.bytes().await.expect("Prometheus says something").into_response()
        };
        let (address, _) = serve(Router::new().route("/tenants/api/v1/query", post(guard))).await?;
        fs::write(&file, "stale")?;
        let client = Client::new(Access::try_from(Settings {
            headers: [("X-Scope-OrgID".to_owned(), "shop".to_owned())].into(),
            bearer_token_file: Some(file.clone()),
            ..settings(&format!("http://{address}/tenants/"))
        })?)?;
        check(&said(&client, "1").await, &["answers 403", "let this user query"]);
        fs::write(&file, "fresh\n")?;
        check(&said(&client, "1").await, &["Scalar(1.0)"]);
        fs::write(&file, "two\nlines")?;
        check(&said(&client, "1").await, &["bearerTokenFile", "a token is one line"]);
        Ok(())
    })
}

#[test]
fn a_redirect_takes_no_credentials_elsewhere() -> Result<()> {
    run(async {
        let options = Options::new()?;
        let token = options.folder().join("token");
        fs::write(&token, "secret")?;
        let elsewhere_asked = Arc::new(AtomicUsize::new(0));
        let asked = Arc::clone(&elsewhere_asked);
        let answer = async move || asked.fetch_add(1, Ordering::Relaxed).to_string();
        let (elsewhere, _elsewhere) = serve(Router::new().fallback(answer)).await?;
        // 307 keeps the method and the body.
        let redirect = async move || Redirect::temporary(&format!("http://{elsewhere}/"));
        let (address, _server) = serve(Router::new().fallback(redirect)).await?;
        let said =
            with(Settings { bearer_token_file: Some(token), ..settings(&format!("http://{address}")) })
                .await?;
        check(&said, &["/api/v1/query answers 307"]);
        assert_eq!(elsewhere_asked.load(Ordering::Relaxed), 0);
        Ok(())
    })
}

#[test]
fn a_certificate_must_come_from_whom_the_settings_trust() -> Result<()> {
    run(async {
        let options = Options::new()?;
        let [ca, other, certificate, key] =
            ["ca.pem", "other.pem", "certificate.pem", "key.pem"].map(|name| options.folder().join(name));
        let issuer = issuer()?;
        let own_key = KeyPair::generate()?;
        let own = CertificateParams::new(["127.0.0.1".to_owned()])?.signed_by(&own_key, &issuer)?;
        fs::write(&ca, issuer.pem())?;
        fs::write(&other, self::issuer()?.pem())?;
        fs::write(&certificate, own.pem())?;
        fs::write(&key, own_key.serialize_pem())?;
        let tls = json!({"tls_server_config": {"cert_file": certificate, "key_file": key}});
        let prometheus = Prometheus::start(options.guarded(tls)).await?;
        let https = settings(&format!("https://{}", prometheus.address()));
        check(&with(Settings { ca_file: Some(ca), ..https.clone() }).await?, &["Scalar(1.0)"]);
        check(&with(Settings { insecure_skip_verify: true, ..https.clone() }).await?, &["Scalar(1.0)"]);
        let stranger = with(Settings { ca_file: Some(other), ..https.clone() }).await?;
        check(&stranger, &["no answer from https://", "certificate"]);
        let error = with(Settings { ca_file: Some(key), ..https }).await.unwrap_err().to_string();
        check(&error, &["caFile: ", "no certificate in it"]);
        let plain = with(settings(&prometheus.url())).await?;
        check(&plain, &["answers 400", "not Prometheus' query API"]);
        Ok(())
    })
}

fn issuer() -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::new([])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

#[test]
fn where_nobody_listens_there_is_no_answer() -> Result<()> {
    run(async {
        let (address, server) = serve(Router::new()).await?;
        server.abort();
        let url = format!("http://{address}");
        check(&said(&client(&url)?, "1").await, &["no answer from", &url]);
        Ok(())
    })
}

#[test]
fn what_is_no_prometheus_is_not_taken_for_one() -> Result<()> {
    run(async {
        let (address, _server) = serve(Router::new().fallback(async || Html("<h1>Sign in</h1>"))).await?;
        let text = said(&client(&format!("http://{address}/"))?, "1").await;
        check(&text, &["answers 200 OK with text/html", "this is not Prometheus' query API"]);
        // A Prometheus, asked below a path that it does not have.
        let prometheus = Prometheus::start(Options::new()?).await?;
        let text = said(&client(&format!("{}/elsewhere", prometheus.url()))?, "1").await;
        check(&text, &["/elsewhere/api/v1/query answers 404"]);
        Ok(())
    })
}

#[test]
fn an_answer_without_end_is_cut_off() -> Result<()> {
    run(async {
        let endless = async || {
            Body::from_stream(stream::repeat_with(|| anyhow::Ok(Bytes::from_static(&[b' '; 1 << 13]))))
        };
        let (address, _server) = serve(Router::new().fallback(endless)).await?;
        check(
            &said(&client(&format!("http://{address}"))?, "1").await,
            &[&format!("gives more than {MOST_SERIES} series")],
        );
        Ok(())
    })
}
