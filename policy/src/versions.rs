/*!
The versions of a policy, by name.
*/
use crate::decision::Arm;
use crate::document::PolicySpec;
use crate::refusal::{Kind, Refusal};
use crate::rule;
use crate::weight::Weight;

/// The names of the versions, in the order of a document's `versions`.
#[derive(Debug, Clone)]
pub(crate) struct Names(Vec<String>);

impl Names {
    /// All of them.
    pub(crate) fn all(&self) -> &[String] {
        &self.0
    }

    /// Of a version that there is.
    pub(crate) fn of(&self, arm: Arm) -> &str {
        self.0.get(arm.index()).map_or("", String::as_str)
    }

    /// The version of this name.
    pub(crate) fn find(&self, name: &[u8]) -> Option<Arm> {
        let mut named = Arm::all().zip(&self.0);
        named.find(|(_, known)| known.as_bytes() == name).map(|(arm, _)| arm)
    }
}

/// The names of a policy's versions, and the canary's weight.
pub(crate) fn versions(spec: &PolicySpec) -> Result<(Names, Weight), Refusal> {
    let [stable, canary, ..] = spec.versions.as_slice() else {
        let hint = "give at least two versions: stable first, then the canary";
        return Err(Refusal::new(
            Kind::Unsupported,
            "versions",
            format!("{} of them", spec.versions.len()),
            hint,
        ));
    };
    for (i, version) in spec.versions.iter().enumerate() {
        let within = |refusal: Refusal| refusal.within(&format!("versions[{i}]"), None);
        rule::LABEL.check("name", &version.name).map_err(within)?;
        if spec.versions.iter().take(i).any(|earlier| earlier.name == version.name) {
            let (field, hint) = (format!("versions[{i}].name"), "give every version a name of its own");
            return Err(Refusal::new(Kind::Invalid, field, format!("{:?}", version.name), hint));
        }
    }
    if let Some(weight) = stable.weight {
        let hint = "leave it out: the first version gets what the others leave";
        return Err(Refusal::new(Kind::Invalid, "versions[0].weight", weight.ppm(), hint));
    }
    let Some(weight) = canary.weight else {
        return Err(Refusal::new(
            Kind::Invalid,
            "versions[1].weight",
            "none",
            "give its share in ppm, 0 to 1000000",
        ));
    };
    let names = spec.versions.iter().map(|version| version.name.clone()).collect();
    Ok((Names(names), weight))
}
