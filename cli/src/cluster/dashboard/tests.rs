//! Who is let in, and what they can have done.

use axum::body::Body;
use axum::http::{Request, header};
use kube::{Client, Config};
use serde_json::json;
use serin_agent::http::install_crypto;
use tower::ServiceExt as _;

use super::*;

/// The pages of one Release in a cluster that does not answer.
fn pages_at(port: u16) -> (Router, Guard) {
    install_crypto();
    let client = Client::try_from(Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
    let seen = Seen::new(Cluster { client, namespace: "shop".to_owned() });
    let object = json!({
        "apiVersion": "serin.dev/v1alpha1", "kind": "Release", "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {"service": {"name": "shop"}, "stable": {}, "canary": {}},
        "status": {"phase": "Progressing", "run": "v2", "weight": {"percent": 10}, "proxies": {}, "message": ""},
    });
    seen.note(serde_json::from_value(object).unwrap());
    let guard = Guard::new(port).unwrap();
    let controls = Controls { token: guard.token().to_owned() };
    (pages(&seen, &guard, Some(controls)), guard)
}

/// A request, as a browser makes it that was let in: these headers take the place of its own.
fn request(
    method: &str,
    path: &str,
    guard: &Guard,
    other: &[(header::HeaderName, &str)],
    body: &str,
) -> Request<Body> {
    let key = guard.address().split_once("key=").unwrap().1.to_owned();
    let mut request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
    let own = [
        (header::HOST, "127.0.0.1:4000".to_owned()),
        (header::ORIGIN, "http://127.0.0.1:4000".to_owned()),
        (header::COOKIE, format!("a=b; serin-4000={key}")),
        (header::CONTENT_TYPE, "application/x-www-form-urlencoded".to_owned()),
    ];
    for (name, value) in own {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    for (name, value) in other {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn only_a_browser_that_has_the_key_comes_in_and_only_by_the_pages_own_name() {
    let (pages, guard) = pages_at(4000);
    for (headers, expected) in [
        (vec![], StatusCode::OK),
        (vec![(header::HOST, "localhost:4000")], StatusCode::OK),
        (vec![(header::HOST, "evil.example:4000")], StatusCode::MISDIRECTED_REQUEST),
        (vec![(header::HOST, "127.0.0.1")], StatusCode::MISDIRECTED_REQUEST),
        (vec![(header::COOKIE, "serin-4000=0123")], StatusCode::UNAUTHORIZED),
        (vec![(header::COOKIE, "")], StatusCode::UNAUTHORIZED),
    ] {
        let answer = pages.clone().oneshot(request("GET", "/", &guard, &headers, "")).await.unwrap();
        assert_eq!(answer.status(), expected, "{headers:?}");
    }
    let key = guard.address().split_once('?').unwrap().1.to_owned();
    let nobody = [(header::COOKIE, "")];
    let answer =
        pages.clone().oneshot(request("GET", &format!("/?{key}"), &guard, &nobody, "")).await.unwrap();
    assert_eq!(
        (answer.status(), &answer.headers()[header::LOCATION]),
        (StatusCode::SEE_OTHER, &"/".parse().unwrap())
    );
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/"), "{cookie}");
    let wrong = request("GET", "/?key=0123", &guard, &nobody, "");
    assert_eq!(pages.oneshot(wrong).await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_order_takes_these_pages_own_origin_and_the_word_on_them() {
    let (pages, guard) = pages_at(4000);
    let body = format!("token={}&reason=it+fails", guard.token());
    // Whoever is let through finds that no cluster answers.
    for (headers, body, expected) in [
        (vec![], body.as_str(), StatusCode::BAD_GATEWAY),
        (vec![(header::ORIGIN, "http://evil.example")], body.as_str(), StatusCode::FORBIDDEN),
        (vec![(header::ORIGIN, "null")], body.as_str(), StatusCode::FORBIDDEN),
        (vec![(header::ORIGIN, "http://127.0.0.1:4001")], body.as_str(), StatusCode::FORBIDDEN),
        (vec![(header::COOKIE, "")], body.as_str(), StatusCode::UNAUTHORIZED),
        (vec![], "token=0123", StatusCode::FORBIDDEN),
        (vec![], "reason=x", StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let order = request("POST", "/shop/shop/abort", &guard, &headers, body);
        let answer = pages.clone().oneshot(order).await.unwrap();
        assert_eq!(answer.status(), expected, "{headers:?} {body}");
    }
}

#[tokio::test]
async fn nothing_is_ordered_by_looking() {
    let (pages, guard) = pages_at(4000);
    let path = format!("/shop/shop/abort?token={}", guard.token());
    let answer = pages.clone().oneshot(request("GET", &path, &guard, &[], "")).await.unwrap();
    // It is asked whether it is meant, without a word to the cluster.
    assert_eq!(answer.status(), StatusCode::OK);
    let answer = pages.oneshot(request("GET", "/shop/shop/explode", &guard, &[], "")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
}
