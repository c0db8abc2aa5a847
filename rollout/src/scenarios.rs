/*!
Golden scenarios: small scripts in `scenarios/`, played in a simulated world, with the trace stored beside each.

Regenerate the traces with `INSTA_UPDATE=always cargo test -p serin-rollout` and read what has changed.

A script is a Release, `---`, and lines of:

- `proxies a b`, and what they do from then on: `silent b`, `bypass b`, `refuse b`, `lag b`, `follow b`
- `tick 1s [x20] [canary=requests/errors/slow[/withheld]] [stable=…]`: time goes by, then the planner looks; `x20`: so often
- `away 20m`: time goes by, and no agent is there
- `cmd pause by ann`: given at the next tick
- `edit old => new`: the Release's text is edited
- `chosen segment:beta 5/1/0`, `chosen override 5/1/0`: what a rule gives to the canary at each tick from then on
- `copies fail 10%`: that is what becomes of copies of stable's requests from then on, where proxies make any
- `fuse a`: the fuse of this proxy has blown
- `outage connection refused`, `outage over`: nothing can be counted, until it can
- `metric depth 3`, `metric depth nan`, `metric depth empty`: what one of people's own metrics says from then on
- `crash before-write`, `crash before-save`: the next tick ends there
- `clock 10m`, `clock -10m`: the wall clock is set
- `lose state`, `lose status`: all of it, or the last one saved
- where the Release names Deployments, `canary` or `stable` and `image v2 [by flux]`, `made-again v1 by flux`, `ready 1`, `limit 1` (its autoscaler's), `ready all`, `scaled 0`,
  `trouble ErrImagePull`, `unscalable no such autoscaler`, `late` (its progress deadline has passed), `gone`
- `routes lost`, `routes live shop-canary`: what their label says
- `state version 9`: what was saved cannot be read, for this reason
- `suspend on`, `suspend off`; `obstacle no such Gateway`, `obstacle over`
- `hook smoke yes`, `hook smoke no it answers 500`, `hook smoke silent`: what it answers from then on
- `contested policy by flux`, `contested over`: who keeps changing what; `policy waits`, `policy due`: whether it may be
  set right again
- `file gone`, `file unreadable`, `file edited [run=1.4.0] [revision=9] [weight=50%] [closed|open]`
*/
use std::fmt::Write as _;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serin_policy::Arm;

use super::deployments::in_words;
use super::world::{Crash, Does, World};
use super::{
    ArmCounts, Besides, Change, Chooser, Chosen, Command, CommandKind, Contested, Counts, InForce,
    MetricReading, MetricValue, Phase, Plan, PodLimit, Push, Reason, Status, Wanted,
};
use serin_release::Percent;

#[test]
fn every_scenario_goes_as_its_trace_says() {
    insta::glob!("scenarios/*.scenario", |path| {
        let trace = ScenarioRun::new(path).play();
        insta::with_settings!(
            { snapshot_path => "scenarios", prepend_module_to_snapshot => false, omit_expression => true },
            { insta::assert_snapshot!("trace", trace) }
        );
    });
}

struct ScenarioRun {
    yaml: String,
    script: String,
    world: World,
    commands: Vec<Command>,
    crash: Crash,
    standing: Vec<Reason>,
    wanted: Option<Wanted>,
    trace: String,
}

impl ScenarioRun {
    fn new(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let (yaml, script) = text.split_once("\n---\n").expect("a Release, --- and a script");
        Self {
            yaml: yaml.to_owned(),
            script: script.to_owned(),
            world: World::new(yaml),
            commands: Vec::new(),
            crash: Crash::None,
            standing: Vec::new(),
            wanted: None,
            trace: String::new(),
        }
    }

    fn play(mut self) -> String {
        for line in std::mem::take(&mut self.script).lines() {
            if line.is_empty() || line.starts_with('#') {
                writeln!(self.trace, "{line}").unwrap();
            } else {
                writeln!(self.trace, "> {line}").unwrap();
                self.line(line);
            }
        }
        self.trace
    }

    fn line(&mut self, line: &str) {
        let words: Vec<_> = line.split_whitespace().collect();
        match words.as_slice() {
            ["tick", after, rest @ ..] => self.ticks(after, rest),
            ["away", time] => self.world.away(time.parse().unwrap()),
            ["cmd", kind, "by", by] => {
                let kind: CommandKind = serde_json::from_value((*kind).into()).unwrap();
                self.commands.push(Command { kind, by: (*by).to_owned() });
            }
            ["edit", ..] => {
                let (old, new) = line["edit ".len()..].split_once(" => ").expect("edit old => new");
                assert!(self.yaml.contains(old), "{old} is not in the Release");
                self.yaml = self.yaml.replace(old, new);
                self.world.reread(&self.yaml);
            }
            ["clock", step] => {
                let step: SignedDuration = step.parse().unwrap();
                self.world.now += step;
                self.world.status.clock_moved(step);
            }
            ["fuse", proxy] => self.world.blown_fuses.push((*proxy).to_owned()),
            ["outage", "over"] => self.world.outage = None,
            ["outage", ..] => self.world.outage = Some(line["outage ".len()..].to_owned()),
            ["chosen", by, counts] => self.chosen(by, counts),
            ["copies", "fail", share] => {
                self.world.copies_fail = share.trim_end_matches('%').parse().unwrap();
            }
            ["metric", name, value] => self.metric(name, value),
            ["crash", "before-write"] => self.crash = Crash::BeforeWrite,
            ["crash", "before-save"] => self.crash = Crash::BeforeSave,
            ["lose", "state"] => self.world.status = Status::default(),
            ["state", ..] => self.spoil_state(&line["state ".len()..]),
            ["lose", "status"] => self.world.lose_last_status(),
            ["file", "gone"] => self.world.file = InForce::Nothing,
            ["file", "unreadable"] => {
                self.world.file = InForce::Unreadable { why: "expected value at line 1".to_owned() };
            }
            ["file", "edited", changes @ ..] => changes.iter().for_each(|change| self.edit_file(change)),
            ["proxies" | "follow", names @ ..] => self.proxies(names, Does::Follow),
            ["silent", names @ ..] => self.proxies(names, Does::FallSilent),
            ["bypass", names @ ..] => self.proxies(names, Does::Bypass),
            ["refuse", names @ ..] => self.proxies(names, Does::Refuse),
            [
                "stable" | "canary" | "obstacle" | "suspend" | "routes" | "contested" | "policy" | "hook",
                ..,
            ] => {
                self.in_cluster(line, &words);
            }
            ["lag", names @ ..] => self.proxies(names, Does::Lag),
            _ => panic!("{line}"),
        }
    }

    fn in_cluster(&mut self, line: &str, words: &[&str]) {
        let cluster = self.world.cluster.as_mut().expect("a Release that names Deployments");
        let model = if words[0] == "stable" { &mut cluster.stable } else { &mut cluster.canary };
        match words[1..] {
            ["image", image] => model.set_image(image),
            ["image", image, "by", by] => {
                model.set_image(image);
                model.changed_by = Some(by.to_owned());
            }
            ["made-again", image, "by", by] => model.make_again(image, by),
            ["limit", pods] => {
                let (pods, field) = (pods.parse().unwrap(), "maxReplicas");
                let autoscaler = format!("HorizontalPodAutoscaler {}", words[0]);
                model.get_ready(pods);
                model.limit = Some(PodLimit { pods, autoscaler, field });
            }
            ["ready", "all"] => model.recover(),
            ["ready", pods] => model.get_ready(pods.parse().unwrap()),
            ["scaled", pods] => model.scale_now(pods.parse().unwrap()),
            ["trouble", ..] => model.trouble = Some(line[words[0].len() + " trouble ".len()..].to_owned()),
            ["unscalable", ..] => {
                model.unscalable = Some(line[words[0].len() + " unscalable ".len()..].to_owned());
            }
            ["late"] => {
                model.stuck = Some(format!("ReplicaSet of {} has timed out progressing.", model.image));
            }
            ["gone"] => model.gone = true,
            ["on"] => cluster.object.spec.suspend = true,
            ["off"] => cluster.object.spec.suspend = false,
            ["over"] if words[0] == "contested" => cluster.contested.clear(),
            ["over"] => cluster.obstacles.clear(),
            [object, "by", by] => {
                cluster.contested.push(Contested { object: object.to_owned(), by: Some(by.to_owned()) });
            }
            [name, "yes"] if words[0] == "hook" => {
                cluster.hooks.insert(name.to_owned(), Ok(()));
            }
            [name, "silent"] if words[0] == "hook" => drop(cluster.hooks.remove(name)),
            [name, "no", ..] if words[0] == "hook" => {
                let why = line["hook ".len() + name.len() + " no ".len()..].to_owned();
                cluster.hooks.insert(name.to_owned(), Err(why));
            }
            ["waits"] => cluster.policy_waits = true,
            ["due"] => cluster.policy_waits = false,
            ["lost"] => cluster.routes = None,
            ["live", name] => {
                let (_, label) = cluster.routes.as_mut().expect("routes");
                name.clone_into(&mut label.deployment);
            }
            _ if words[0] == "obstacle" => cluster.obstacles.push(line["obstacle ".len()..].to_owned()),
            _ => panic!("{line}"),
        }
    }

    fn spoil_state(&mut self, why: &str) {
        let phase =
            Phase::Unreadable { why: why.to_owned(), weight: self.world.status.weight(), closed: false };
        self.world.status = Status { phase, ..Status::default() };
    }

    fn proxies(&mut self, names: &[&str], does: Does) {
        for name in names {
            self.world.proxies.entry((*name).to_owned()).or_default().does = does;
        }
    }

    fn chosen(&mut self, by: &str, counts: &str) {
        let by = match by.strip_prefix("segment:") {
            Some(name) => Chooser::Segment(name.to_owned()),
            None if by == "fault" => Chooser::Fault,
            None => Chooser::Override,
        };
        self.world.chosen.retain(|known| known.by != by);
        self.world.chosen.push(Chosen { by, arm: Arm::Canary, counts: arm(counts) });
    }

    fn metric(&mut self, name: &str, value: &str) {
        let canary = match value {
            "nan" => MetricValue::NotANumber,
            "empty" => MetricValue::Empty,
            number => MetricValue::Number(number.parse().unwrap()),
        };
        self.world.readings = vec![MetricReading { name: name.to_owned(), canary, stable: None }];
    }

    fn edit_file(&mut self, change: &str) {
        let InForce::Policy { run, revision, weight, closed, .. } = &mut self.world.file else {
            panic!("no file")
        };
        match change.split_once('=') {
            Some(("run", value)) => value.clone_into(run),
            Some(("revision", value)) => *revision = value.parse().unwrap(),
            Some(("weight", value)) => *weight = Percent::parse(value).unwrap().weight(),
            None => *closed = change == "closed",
            _ => panic!("{change}"),
        }
    }

    fn ticks(&mut self, after: &str, rest: &[&str]) {
        let after: SignedDuration = after.parse().unwrap();
        let (mut times, mut counts) = (1, Counts::default());
        for word in rest {
            match word.split_once('=') {
                Some(("canary", value)) => counts.canary = arm(value),
                Some(("stable", value)) => counts.stable = arm(value),
                None => times = word.strip_prefix('x').unwrap().parse().unwrap(),
                _ => panic!("{word}"),
            }
        }
        for _ in 0..times {
            let change = self.world.status.last_change.clone();
            let (commands, crash) = (std::mem::take(&mut self.commands), std::mem::take(&mut self.crash));
            let asked: Vec<_> = self.open_questions();
            let planned = self.world.tick(after, counts, commands, crash);
            self.tell(&planned, crash, change.as_ref());
            let at = self.world.now.duration_since(Timestamp::UNIX_EPOCH);
            for new in self.open_questions().into_iter().filter(|open| !asked.contains(open)) {
                writeln!(self.trace, "  {:>5} => asks {new}", format!("{at:#}")).unwrap();
            }
        }
        let (status, now) = (&self.world.status, self.world.now);
        let progress = status.progress(&self.world.release, now);
        let (phase, elapsed) = (&status.phase, SignedDuration::try_from(progress.elapsed).unwrap());
        let seen = format!("{elapsed:#}, {}/{} requests", progress.have, progress.need);
        writeln!(self.trace, "  {phase}: {}, revision {} ({seen})", status.weight(), status.revision)
            .unwrap();
        if let Some(cluster) = &self.world.cluster {
            writeln!(self.trace, "  stable {}, canary {}", cluster.stable, cluster.canary).unwrap();
        }
    }

    fn open_questions(&self) -> Vec<String> {
        let open = self.world.status.questions.iter().filter(|question| question.is_open);
        open.map(|question| format!("{} about {}, time {}", question.hook, question.about, question.times))
            .collect()
    }

    /// Adds what is new about an planned to the trace.
    fn tell(&mut self, planned: &Plan, crash: Crash, change: Option<&Change>) {
        let mut lines = Vec::new();
        for reason in planned.reasons.iter().filter(|reason| !self.standing.contains(reason)) {
            lines.push(format!("{}: {reason}", reason.code()));
        }
        if let Some(Push { revision, weight, closed, promoted, besides }) = planned.push {
            let words = [
                (closed, ", closed"),
                (promoted, ", promoted"),
                (besides == Besides::Mirror, ", mirrored"),
                (crash != Crash::None, ", lost"),
            ];
            let words: String = words.into_iter().filter(|(holds, _)| *holds).map(|(_, word)| word).collect();
            lines.push(format!("=> push revision {revision}: {weight}{words}"));
        }
        if let Some(new) = planned.status.last_change.as_ref().filter(|new| Some(*new) != change) {
            let Change { by, weight_before, weight_after, .. } = new;
            lines.push(format!("=> change {weight_before} to {weight_after} by {by}"));
        }
        if planned.wanted != self.wanted {
            self.wanted = planned.wanted;
            lines.push(format!("=> wanted: {}", in_words(planned.wanted)));
        }
        let at = self.world.now.duration_since(Timestamp::UNIX_EPOCH);
        for line in lines {
            writeln!(self.trace, "  {:>5} {line}", format!("{at:#}")).unwrap();
        }
        self.standing.clone_from(&planned.reasons);
    }
}

fn arm(text: &str) -> ArmCounts {
    let numbers: Vec<u64> = text.split('/').map(|number| number.parse().unwrap()).collect();
    let [requests, errors, slow, ref withheld @ ..] = numbers[..] else {
        panic!("{text}: write requests/errors/slow")
    };
    let withheld = withheld.first().copied().unwrap_or_default();
    ArmCounts { requests, errors, slow, withheld, ..ArmCounts::default() }
}
