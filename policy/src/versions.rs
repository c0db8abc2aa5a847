/*!
The versions of a policy, by name.
*/
use crate::decision::Arm;
use crate::document::PolicySpec;
use crate::lanes::Extra;
use crate::refusal::{Kind, Refusal};
use crate::rule;
use crate::weight::Weight;

/// The names of the versions, in the order of a document's `versions`.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    stable: String,
    canary: String,
    extras: Vec<String>,
}

impl Names {
    /// Of a version that there is.
    pub(crate) fn of(&self, arm: Arm) -> &str {
        match arm {
            Arm::Stable => &self.stable,
            Arm::Canary => &self.canary,
            // There is none of which nobody has spoken: stable is what its callers would get.
            Arm::Extra(extra) => self.extras.get(extra.index()).unwrap_or(&self.stable),
        }
    }

    /// The version of this name.
    pub(crate) fn find(&self, name: &[u8]) -> Option<Arm> {
        let extras =
            || Extra::ALL.into_iter().zip(&self.extras).map(|(extra, name)| (Arm::Extra(extra), name));
        let both = [(Arm::Stable, &self.stable), (Arm::Canary, &self.canary)];
        let found = both.into_iter().find(|(_, known)| known.as_bytes() == name);
        found.or_else(|| extras().find(|(_, known)| known.as_bytes() == name)).map(|(arm, _)| arm)
    }
}

/// The names of a policy's versions, and the canary's weight.
pub(crate) fn versions(spec: &PolicySpec) -> Result<(Names, Weight), Refusal> {
    let [stable, canary, extras @ ..] = spec.versions.as_slice() else {
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
    let extras = extras.iter().map(|version| version.name.clone()).collect();
    Ok((Names { stable: stable.name.clone(), canary: canary.name.clone(), extras }, weight))
}
