/*!
A pod's status, as a kubelet writes it.
*/
use std::net::Ipv4Addr;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::inside::HOST;

/// How a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// About to start.
    Creating,
    /// Its image is not there.
    NoImage,
    /// It runs and is not ready.
    Running,
    /// It serves.
    Ready,
    /// It has done its work, and ended with this code.
    Ended(i32),
    /// It fell over so many times and waits for the next.
    Crashed(u32),
}

/// All there is to say about a pod.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) address: Ipv4Addr,
    pub(super) began: Timestamp,
    pub(super) containers: Vec<Container>,
}

#[derive(Debug)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) state: State,
}

impl Report {
    /// The status, to be merged over the old one.
    pub(super) fn status(&self) -> Value {
        let ready = self.containers.iter().all(|container| container.state == State::Ready);
        let runs = self.containers.iter().all(|container| container.state.has_run());
        let condition = |kind: &str, holds: bool| {
            let mut condition = json!({
                "type": kind,
                "status": if holds { "True" } else { "False" },
                "lastTransitionTime": Timestamp::now(),
            });
            if !holds {
                condition["reason"] = json!("ContainersNotReady");
            }
            condition
        };
        let codes: Option<Vec<_>> = self.containers.iter().map(|container| container.state.code()).collect();
        let phase = match codes {
            Some(codes) if codes.iter().all(|code| *code == 0) => "Succeeded",
            Some(_) => "Failed",
            None if runs => "Running",
            None => "Pending",
        };
        json!({
            "phase": phase,
            "hostIP": HOST,
            "hostIPs": [{"ip": HOST}],
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "startTime": self.began,
            "conditions": [
                condition("PodScheduled", true),
                condition("Initialized", true),
                condition("ContainersReady", ready),
                condition("Ready", ready),
            ],
            "containerStatuses": self.containers.iter().map(|container| container.status(self.began)).collect::<Vec<_>>(),
        })
    }
}

impl Container {
    fn status(&self, began: Timestamp) -> Value {
        let waiting =
            |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
        let (state, restarts) = match self.state {
            State::Creating => (waiting("ContainerCreating", ""), 0),
            State::NoImage => {
                (waiting("ImagePullBackOff", &format!("Back-off pulling image {:?}", self.image)), 0)
            }
            State::Running | State::Ready => (json!({"running": {"startedAt": began}}), 0),
            // With a failure come the last lines of its log, as FallbackToLogsOnError has them.
            State::Ended(code) => {
                let reason = if code == 0 { "Completed" } else { "Error" };
                let message = if code == 0 { "" } else { "asking the shop\nthe basket is empty\n" };
                let ended = json!({"exitCode": code, "reason": reason, "message": message,
                    "startedAt": began, "finishedAt": Timestamp::now()});
                (json!({"terminated": ended}), 0)
            }
            State::Crashed(times) => (
                waiting("CrashLoopBackOff", &format!("back-off restarting failed container={}", self.name)),
                times,
            ),
        };
        let mut status = json!({
            "name": self.name,
            "image": self.image,
            "imageID": if self.state == State::NoImage { "" } else { self.image.as_str() },
            "ready": self.state == State::Ready,
            "started": matches!(self.state, State::Running | State::Ready),
            "restartCount": restarts,
            "state": state,
        });
        if restarts > 0 {
            let ended = Timestamp::now();
            status["lastState"] = json!({
                "terminated": {"exitCode": 1, "reason": "Error", "startedAt": began, "finishedAt": ended},
            });
        }
        status
    }
}

impl State {
    const fn has_run(self) -> bool {
        matches!(self, Self::Running | Self::Ready | Self::Ended(_) | Self::Crashed(_))
    }

    /// With which code it has ended, if it has.
    const fn code(self) -> Option<i32> {
        if let Self::Ended(code) = self { Some(code) } else { None }
    }
}
