//! What the README and the pages in `docs` have people paste makes sense.

use std::path::Path;

use serde_json::{Value, json};
use serin_release::{Release, ReleaseObject};

/// The YAML blocks of a page.
fn blocks(page: &str) -> impl Iterator<Item = &str> {
    page.split("\n```yaml\n").skip(1).map(|rest| rest.split("\n```").next().unwrap())
}

/// What is wrong with a Release, if anything is: one of the cluster names its Deployments.
fn problem(document: &Value, yaml: &str) -> Option<String> {
    if document["spec"]["stable"]["targetRef"].is_null() {
        return Release::from_yaml(yaml).err().map(|error| error.to_string());
    }
    let object: ReleaseObject = match serde_json::from_value(document.clone()) {
        Ok(object) => object,
        Err(error) => return Some(error.to_string()),
    };
    Release::from_object(&object, "v2").err().map(|error| error.to_string())
}

#[test]
fn every_release_in_the_documentation_is_accepted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut pages = vec![root.join("README.md")];
    pages.extend(std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    let (mut releases, mut wrong) = (0, Vec::new());
    for page in pages.iter().filter(|page| page.extension().is_some_and(|found| found == "md")) {
        let text = std::fs::read_to_string(page).unwrap();
        for yaml in blocks(&text) {
            let mut document: Value = serde_saphyr::from_str(yaml)
                .unwrap_or_else(|error| panic!("{}: {error}\n{yaml}", page.display()));
            // A part of a Release begins with its spec.
            if document.get("kind").is_none() && document.get("spec").is_some() {
                let mut whole = json!({"apiVersion": "serin.dev/v1alpha1", "kind": "Release", "metadata": {"name": "shop"}});
                whole["spec"] = document["spec"].take();
                document = whole;
            }
            if document["kind"] == "Release" {
                releases += 1;
                wrong
                    .extend(problem(&document, yaml).map(|why| format!("{}: {why}\n{yaml}", page.display())));
            }
        }
    }
    assert!(releases >= 5, "only {releases} Releases were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
