//! What the README and the pages in `docs` have people paste makes sense.

use std::path::{Path, PathBuf};

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

/// The README and the pages in `docs`, with their texts.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut pages = vec![root.join("README.md")];
    pages.extend(std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    pages.retain(|page| page.extension().is_some_and(|found| found == "md"));
    let read = |page: PathBuf| {
        let text = std::fs::read_to_string(&page).unwrap();
        (page, text)
    };
    pages.into_iter().map(read).collect()
}

/// How a heading is named in a link.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[test]
fn every_link_in_the_documentation_leads_somewhere() {
    let (mut links, mut wrong) = (0, Vec::new());
    for (page, text) in pages() {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            links += 1;
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            let leads = match std::fs::read_to_string(&target) {
                Ok(text) if !heading.is_empty() => {
                    let headings = text.lines().filter(|line| line.starts_with('#'));
                    text.contains(&format!("<a id=\"{heading}\">"))
                        || headings
                            .map(|line| anchor(line.trim_start_matches('#').trim()))
                            .any(|it| it == heading)
                }
                _ => target.exists(),
            };
            wrong.extend((!leads).then(|| format!("{}: {link}", page.display())));
        }
    }
    assert!(links > 50, "only {links} links were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_release_in_the_documentation_is_accepted() {
    let (mut releases, mut wrong) = (0, Vec::new());
    for (page, text) in pages() {
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
