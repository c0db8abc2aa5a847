//! Single requests: overrides, segments, cookies as clients really send them, and the headers on the way.

use anyhow::{Result, ensure};
use serde_json::json;
use serin_policy::{Id, Point, Weight};
use serin_release::Release;
use serin_tests::client::Client;
use serin_tests::site::{HOST, PREVIEW_HOST, Plan, Site, eventually, release, run};

use crate::{percent, users};

/// SHA-256 of `s3cret`.
const TOKEN_SHA256: &str = "1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0";

/// Asks with these headers and sees the shop's deployment.
async fn check(client: &Client, path: &str, headers: &[(&str, &str)], expected: &str) -> Result<()> {
    let answer = client.get(path, headers).await?;
    let shop = answer.shop()?;
    ensure!(shop.deployment == expected, "{headers:?} {path}: {answer:?}");
    ensure!(shop.x_serin_version.as_deref() == Some(expected), "{headers:?}: {answer:?}");
    ensure!(answer.header("x-served-by") == Some(expected), "{headers:?}: {answer:?}");
    Ok(())
}

#[test]
fn a_tester_gets_the_version_they_name_if_they_may() -> Result<()> {
    run(async {
        let more =
            format!("overrides: [{{header: x-open}}, {{header: x-secret, tokenSha256: {TOKEN_SHA256}}}]");
        let site = Site::at(Weight::ZERO, Plan { release: release(&more), ..Plan::default() }).await?;
        let client = site.client(0);
        check(&client, "/", &[], "stable").await?;
        check(&client, "/", &[("x-open", "canary")], "canary").await?;
        check(&client, "/", &[("x-open", "stable")], "stable").await?;
        check(&client, "/", &[("x-open", "unheard-of")], "stable").await?;
        check(&client, "/", &[("x-secret", "canary:s3cret")], "canary").await?;
        for wrong in ["canary", "canary:", "canary:wrong", "canary:s3cre", "canary:s3cret2"] {
            check(&client, "/", &[("x-secret", wrong)], "stable").await?;
        }
        Ok(())
    })
}

#[test]
fn a_preview_host_leads_to_the_canary_when_nobody_else_gets_it() -> Result<()> {
    run(async {
        let hosts = format!("hosts: [{HOST}]");
        let previewed = release("").replace(&hosts, &format!("{hosts}, previewHosts: [{PREVIEW_HOST}]"));
        let site = Site::at(Weight::ZERO, Plan { release: previewed, ..Plan::default() }).await?;
        let client = site.client(0);
        check(&client, "/", &[], "stable").await?;
        check(&client, "/", &[("host", PREVIEW_HOST)], "canary").await?;
        check(&client, "/", &[("host", "PREVIEW.example.com:80"), ("cookie", "serin=bob")], "canary").await
    })
}

#[test]
fn the_application_reads_a_callers_flags_whatever_version_it_is() -> Result<()> {
    run(async {
        let more = "flags:
- {name: new-checkout, percentage: 50}
- {name: staff, percentage: 0, matches: [{headers: [{name: x-user-type, value: staff}]}]}";
        let site = Site::at(percent(50), Plan { release: release(more), ..Plan::default() }).await?;
        let client = site.client(0);
        let (mut on, mut of_canary) = (0, 0);
        for id in users(200) {
            let point = Point::of("shop/shop/flag/new-checkout", &Id::try_from(id.as_bytes())?);
            let is_on = point.is_covered_by(percent(50));
            let cookie = format!("serin={id}");
            let (alone, with_staff) =
                if is_on { ("new-checkout", "new-checkout,staff") } else { ("", "staff") };
            for (headers, expected) in [
                (vec![("cookie", &*cookie), ("x-serin-flags", "staff,admin")], alone),
                (vec![("cookie", &*cookie), ("x-user-type", "staff")], with_staff),
            ] {
                let shop = client.get("/", &headers).await?.shop()?;
                ensure!(shop.x_serin_flags.as_deref() == Some(expected), "{headers:?}: {shop:?}");
                on += u32::from(is_on);
                of_canary += u32::from(is_on && shop.deployment == "canary");
            }
        }
        // Who has a flag says nothing of the version: about half of them are on the canary.
        ensure!((100..300).contains(&on) && (on / 4..on * 3 / 4).contains(&of_canary), "{of_canary} of {on}");
        Ok(())
    })
}

#[test]
fn segments_have_weights_of_their_own() -> Result<()> {
    run(async {
        let more = "segments:
- {name: beta, matches: [{headers: [{name: x-user-type, value: beta}]}], weight: 100}
- {name: api, matches: [{path: {type: Prefix, value: /api}, method: GET}], weight: 0}
- {name: kiosk, matches: [{cookies: [{name: kiosk, type: Present}]}], weight: 0}";
        let site = Site::at(Weight::FULL, Plan { release: release(more), ..Plan::default() }).await?;
        let client = site.client(0);
        check(&client, "/", &[], "canary").await?;
        check(&client, "/api/x", &[], "stable").await?;
        check(&client, "/", &[("cookie", "a=b; kiosk=1")], "stable").await?;
        check(&client, "/api", &[("x-user-type", "beta")], "canary").await
    })
}

#[test]
fn the_filters_word_counts_and_not_the_clients() -> Result<()> {
    run(async {
        let site = Site::at(Weight::ZERO, Plan::default()).await?;
        let client = site.client(0);
        check(&client, "/", &[("x-serin-version", "canary")], "stable").await?;
        check(&client, "/", &[("x-serin-version", "canary"), ("x-serin-version", "canary")], "stable").await
    })
}

/// With ABI 0.2.1 Envoy looks for the route anew after every change of a request header, and this filter relies on
/// it: with a later ABI it would have to ask, and everybody would be on stable without it.
#[test]
fn the_header_chooses_the_route_even_when_a_filter_before_has_looked_it_up() -> Result<()> {
    run(async {
        let lua = json!({
            "name": "envoy.filters.http.lua",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
                "default_source_code": {"inline_string":
                    "function envoy_on_request(handle) handle:headers():add('x-had-route', tostring(handle:metadata() ~= nil)) end"},
            },
        });
        let site = Site::at(Weight::FULL, Plan { filter_before: Some(lua), ..Plan::default() }).await?;
        check(&site.client(0), "/", &[], "canary").await
    })
}

#[test]
fn an_id_is_found_on_any_cookie_line() -> Result<()> {
    run(async {
        let site = Site::at(percent(50), Plan::default()).await?;
        let client = site.client(0);
        let big = format!("junk={}", "x".repeat(20_000));
        for id in users(20) {
            let expected = crate::expected("v2", &id, percent(50));
            let cookie = format!("serin={id}");
            let quoted = format!("a=b;serin=\"{id}\"; c=d");
            check(&client, "/", &[("cookie", &cookie)], expected).await?;
            check(&client, "/", &[("cookie", &quoted)], expected).await?;
            check(&client, "/", &[("cookie", "a=b; c=d"), ("cookie", &cookie)], expected).await?;
            check(&client, "/", &[("cookie", &big), ("cookie", &cookie)], expected).await?;
        }
        Ok(())
    })
}

#[test]
fn an_id_travels_on_in_baggage_beside_what_was_there() -> Result<()> {
    run(async {
        let more = "sessionAffinity: {sources: [{baggage: serin}, {cookie: serin}]}";
        let site = Site::at(percent(50), Plan { release: release(more), ..Plan::default() }).await?;
        let client = site.client(0);
        for id in users(20) {
            let baggage = format!("serin={id};p=1");
            let headers = [("baggage", "k=v"), ("baggage", &baggage), ("cookie", "serin=another")];
            check(&client, "/", &headers, crate::expected("v2", &id, percent(50))).await?;
        }
        Ok(())
    })
}

#[test]
fn a_cookie_is_issued_on_navigation_and_never_on_what_shared_caches_keep() -> Result<()> {
    run(async {
        let site = Site::at(percent(50), Plan::default()).await?;
        let client = site.client(0);
        let issued = async |headers: &[(&str, &str)]| -> Result<bool> {
            Ok(client.get("/", headers).await?.headers.contains_key("set-cookie"))
        };
        ensure!(issued(&[]).await?);
        ensure!(issued(&[("sec-fetch-mode", "navigate")]).await?);
        for mode in ["cors", "no-cors", "same-origin", "websocket"] {
            ensure!(!issued(&[("sec-fetch-mode", mode)]).await?, "{mode}");
        }
        ensure!(!issued(&[("cookie", "serin=known")]).await?);
        // The shop says nothing about caches: the answer that carries a cookie is made private.
        ensure!(client.get("/", &[]).await?.header("cache-control") == Some("private"));
        Ok(())
    })
}

#[test]
fn no_shared_cache_may_keep_what_the_canary_answers_while_others_have_stable() -> Result<()> {
    run(async {
        let release = Release::from_yaml(&release(""))?;
        let mut site = Site::at(percent(50), Plan::default()).await?;
        let client = site.client(0);
        let mut seen = [0, 0];
        for user in users(50) {
            let answer = client.get("/", &[("cookie", &format!("serin={user}"))]).await?;
            let is_canary = answer.header("x-served-by") == Some("canary");
            ensure!(answer.header("cache-control") == is_canary.then_some("private"), "{answer:?}");
            seen[usize::from(is_canary)] += 1;
        }
        ensure!(seen.iter().all(|&users| users > 5), "{seen:?}");
        // Once it is everybody's, there is no other version to be had.
        site.push_document(vec![release.policy(2, Weight::FULL, false, true)]).await?;
        eventually("the promotion", async || {
            let answer = client.get("/", &[("cookie", "serin=bob")]).await?;
            ensure!(
                answer.header("x-served-by") == Some("canary") && answer.header("cache-control").is_none()
            );
            Ok(())
        })
        .await
    })
}

#[test]
fn requests_for_other_hosts_are_left_alone() -> Result<()> {
    run(async {
        let site = Site::at(Weight::FULL, Plan::default()).await?;
        let answer = site.client(0).get("/", &[("host", "shop.shop")]).await?;
        ensure!(
            answer.shop()?.x_serin_version.is_none() && answer.header("x-served-by").is_none(),
            "{answer:?}"
        );
        ensure!(answer.shop()?.deployment == "stable");
        Ok(())
    })
}
