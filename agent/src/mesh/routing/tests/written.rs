//! Routes that people write beside Serin's.

use serde_json::json;

use super::super::*;
use super::{around, subsets};
use crate::mesh::fixtures;

#[test]
fn what_people_write_comes_first_and_leads_to_the_version_that_a_caller_has() {
    let spec = json!({
        "stable": {"targetRef": {"name": "shop-stable"}},
        "canary": {
            "targetRef": {"name": "shop-canary"},
            "headers": {"response": {"set": {"x-version": "new"}}},
        },
        "routing": {
            "gateways": ["edge/gw", "mesh"],
            "hosts": ["shop.example.com"],
            "pathPrefix": "/shop",
            "timeout": "5s",
            "rewrite": {"uri": "/"},
            "http": [
                {"name": "old", "match": [{"uri": {"prefix": "/old/"}}], "redirect": {"uri": "/shop/"}},
                {
                    "match": [
                        {"uri": {"prefix": "/shop/upload/"}, "method": {"exact": "POST"}},
                        {"headers": {"x-slow": {"exact": "yes"}}},
                    ],
                    "timeout": "60s",
                    "rewrite": {"uri": "/up/"},
                },
            ],
            "tcp": [{"match": [{"port": 9000}], "route": [{"destination": {"host": "queue"}}]}],
            "exportTo": [".", "edge"],
        },
    });
    let (release, delivery) = fixtures::release_with("shop", &spec);
    let managed = managed(&release, &delivery, &subsets(), Leads::default(), &around(8080, &[9090])).unwrap();
    let objects =
        format!("{}---\n{}", paste::yaml(&managed.virtual_service), paste::yaml(&managed.destination_rule));
    insta::assert_snapshot!(objects);
    // What is left when the Release is gone leads nobody to the canary.
    let left = paste::yaml(&left_behind(managed.virtual_service));
    assert!(!left.contains("subset: canary") && left.contains("serin-stable-http-1"), "{left}");
}
