/*!
When each alert fires, and when it does not, though things look much alike.
*/

/// When an alert is to fire, and when not.
pub(super) struct Case {
    pub(super) alert: &'static str,
    /// How long after the beginning it is looked at.
    pub(super) at: &'static str,
    /// Series with a value each minute, of which it fires.
    pub(super) fires: &'static [&'static str],
    /// Series of which it does not, though they are much alike.
    pub(super) quiet: &'static [&'static [&'static str]],
}

const fn case(
    alert: &'static str,
    at: &'static str,
    fires: &'static [&'static str],
    quiet: &'static [&'static [&'static str]],
) -> Case {
    Case { alert, at, fires, quiet }
}

pub(super) const CASES: &[Case] = &[
    case(
        "SerinCanaryErrors",
        "10m",
        &[
            "serin_release_requests_total{release='shop/shop', version='canary'} 0+100x20",
            "serin_release_errors_total{release='shop/shop', version='canary'} 0+10x20",
            "serin_release_requests_total{release='shop/shop', version='stable'} 0+900x20",
            "serin_release_errors_total{release='shop/shop', version='stable'} 0+9x20",
        ],
        &[
            // Both fail.
            &[
                "serin_release_requests_total{release='shop/shop', version='canary'} 0+100x20",
                "serin_release_errors_total{release='shop/shop', version='canary'} 0+10x20",
                "serin_release_requests_total{release='shop/shop', version='stable'} 0+900x20",
                "serin_release_errors_total{release='shop/shop', version='stable'} 0+90x20",
            ],
            // It is stable that fails.
            &[
                "serin_release_requests_total{release='shop/shop', version='canary'} 0+100x20",
                "serin_release_errors_total{release='shop/shop', version='canary'} 0+1x20",
                "serin_release_requests_total{release='shop/shop', version='stable'} 0+900x20",
                "serin_release_errors_total{release='shop/shop', version='stable'} 0+90x20",
            ],
            // It was for a moment.
            &[
                "serin_release_requests_total{release='shop/shop', version='canary'} 0+100x20",
                "serin_release_errors_total{release='shop/shop', version='canary'} 0 0 0 5x20",
            ],
        ],
    ),
    case(
        "SerinCanarySlow",
        "12m",
        &[
            "serin_release_requests_total{release='shop/shop', version='canary'} 0+100x20",
            "serin_release_slow_total{release='shop/shop', version='canary'} 0+10x20",
            // At 100 % nobody is on stable.
            "serin_release_requests_total{release='shop/shop', version='stable'} 0x20",
            "serin_release_slow_total{release='shop/shop', version='stable'} 0x20",
        ],
        &[&[
            "serin_release_requests_total{release='shop/shop', version='canary'} 0+100x20",
            "serin_release_slow_total{release='shop/shop', version='canary'} 0+10x20",
            "serin_release_requests_total{release='shop/shop', version='stable'} 0+100x20",
            "serin_release_slow_total{release='shop/shop', version='stable'} 0+9x20",
        ]],
    ),
    case(
        "SerinCanaryNoTraffic",
        "25m",
        &[
            "serin_release_weight_ppm{release='shop/shop'} 250000x30",
            "serin_release_requests_total{release='shop/shop', version='canary'} 7x30",
            "serin_release_requests_total{release='shop/shop', version='stable'} 0+60x30",
        ],
        &[
            // Nobody is to get it, or nobody comes.
            &[
                "serin_release_weight_ppm{release='shop/shop'} 0x30",
                "serin_release_requests_total{release='shop/shop', version='canary'} 7x30",
                "serin_release_requests_total{release='shop/shop', version='stable'} 0+60x30",
            ],
            &[
                "serin_release_weight_ppm{release='shop/shop'} 250000x30",
                "serin_release_requests_total{release='shop/shop', version='canary'} 7x30",
                "serin_release_requests_total{release='shop/shop', version='stable'} 7x30",
            ],
        ],
    ),
    case(
        "SerinRolledBack",
        "70m",
        &[
            "serin_release_phase{release='shop/shop', phase='progressing'} 1x60 stale",
            "serin_release_phase{release='shop/shop', phase='rolled-back'} _x61 1x20",
        ],
        &[
            &["serin_release_phase{release='shop/shop', phase='aborted'} _x61 1x20"],
            // Known for an hour, though another agent leads now.
            &[
                "serin_release_phase{release='shop/shop', phase='rolled-back', pod='a'} 1x60 stale",
                "serin_release_phase{release='shop/shop', phase='rolled-back', pod='b'} _x61 1x20",
            ],
        ],
    ),
    case(
        "SerinEvidenceLeaning",
        "5m",
        &[
            "serin_release_evidence{release='shop/shop', metric='request-duration', claim='worse'} 4x10",
            "serin_release_evidence{release='shop/shop', metric='request-duration', claim='needed'} 5x10",
        ],
        &[
            &[
                "serin_release_evidence{release='shop/shop', metric='request-duration', claim='worse'} 2x10",
                "serin_release_evidence{release='shop/shop', metric='request-duration', claim='no-worse'} 4x10",
                "serin_release_evidence{release='shop/shop', metric='request-duration', claim='needed'} 5x10",
            ],
            // It was enough, and the canary is gone.
            &[
                "serin_release_evidence{release='shop/shop', metric='request-duration', claim='worse'} 6x10",
                "serin_release_evidence{release='shop/shop', metric='request-duration', claim='needed'} 5x10",
            ],
        ],
    ),
    case(
        "SerinStableDown",
        "3m",
        &["serin_release_holds{release='shop/shop', reason='stable-down', awaits='mending'} 1x5"],
        &[&["serin_release_holds{release='shop/shop', reason='blocked', awaits='mending'} 1x5"]],
    ),
    case(
        "SerinReleaseStalled",
        "10m",
        &["serin_release_holds{release='shop/shop', reason='blocked', awaits='mending'} 1x20"],
        &[
            &["serin_release_holds{release='shop/shop', reason='blocked', awaits='mending'} _x8 1x20"],
            &["serin_release_holds{release='shop/shop', reason='paused', awaits='person'} 1x20"],
            &["serin_release_holds{release='shop/shop', reason='stable-down', awaits='mending'} 1x20"],
        ],
    ),
    case(
        "SerinReleaseHeld",
        "70m",
        &["serin_release_holds{release='shop/shop', reason='awaits-requests', awaits='itself'} 1x80"],
        &[&[
            "serin_release_holds{release='shop/shop', reason='awaits-requests', awaits='itself'} 1x30 stale",
            "serin_release_holds{release='shop/shop', reason='awaits-capacity', awaits='itself'} _x32 1x50",
            "serin_release_holds{release='shop/shop', reason='frozen', awaits='itself'} 1x80",
        ]],
    ),
    case(
        "SerinReleaseAwaitsPerson",
        "5h",
        &["serin_release_holds{release='shop/shop', reason='awaits-approval', awaits='person'} 1x400"],
        &[&[
            "serin_release_holds{release='shop/shop', reason='awaits-approval', awaits='person'} _x120 1x400",
        ]],
    ),
    case(
        "SerinReleaseNotDriven",
        "10m",
        &["serin_release_driven{release='shop/shop'} 0x20"],
        &[&["serin_release_driven{release='shop/shop'} 0x7 1x20"]],
    ),
    case(
        "SerinCommandRefused",
        "20m",
        // The first one: there was no such counter before.
        &["serin_release_decisions_total{release='shop/shop', reason='command-refused'} _x15 1x20"],
        &[
            &["serin_release_decisions_total{release='shop/shop', reason='command-refused'} 1x40"],
            &["serin_release_decisions_total{release='shop/shop', reason='step-begun'} 0+1x40"],
        ],
    ),
    case(
        "SerinProxiesBypassed",
        "5m",
        &["serin_release_proxies{release='shop/shop', state='bypassed'} 2x10"],
        &[
            &["serin_release_proxies{release='shop/shop', state='bypassed'} 0x10"],
            &["serin_release_proxies{release='shop/shop', state='bypassed'} 2x3 0x10"],
        ],
    ),
    case(
        "SerinProxiesSilent",
        "8m",
        &["serin_release_proxies{release='shop/shop', state='silent'} 1x10"],
        &[&["serin_release_proxies{release='shop/shop', state='silent'} 0 0 0 0 1x10"]],
    ),
    case(
        "SerinPushSlow",
        "5m",
        &["serin_release_proxies{release='shop/shop', state='behind'} 1x10"],
        // One push after the other, each of them taken within the minute.
        &[&["serin_release_proxies{release='shop/shop', state='behind'} 3 0 3 0 3 0 3 0 3 0"]],
    ),
    case(
        "SerinPolicyRefused",
        "5m",
        &["serin_refused{namespace='istio-ingress', pod='gateway-1'} 1x10"],
        &[&["serin_refused{namespace='istio-ingress', pod='gateway-1'} 0x10"]],
    ),
    case(
        "SerinFuseBlown",
        "3m",
        &[
            "serin_fuse{tag='shop/shop', pod='gateway-1'} 0 4503595332403201x10",
            "serin_fuse{tag='shop/shop', pod='gateway-2'} 0x10",
        ],
        // An agent took note at once, and the next policy closed the canary.
        &[&["serin_fuse{tag='shop/shop', pod='gateway-1'} 0 4503595332403201 0x10"]],
    ),
    case(
        "SerinLeaseLapsed",
        "3m",
        &[
            "serin_lapsed{tag='shop/shop', pod='gateway-1'} 0 1x10",
            "serin_lapsed{tag='shop/shop', pod='gateway-2'} 0x10",
        ],
        &[
            // An agent was back, and renewed it.
            &["serin_lapsed{tag='shop/shop', pod='gateway-1'} 0 1 0x10"],
            &["serin_lapsed{tag='shop/shop', pod='gateway-1'} 0x10"],
        ],
    ),
    case(
        "SerinAgentDown",
        "10m",
        &["up{} 0x20"],
        &[&["serin_build_info{version='0.1.0', pod='serin-1'} 1x20"]],
    ),
    case(
        "SerinNoLeader",
        "5m",
        &[
            "serin_leader{namespace='serin-system', pod='a'} 0x10",
            "serin_leader{namespace='serin-system', pod='b'} 0x10",
        ],
        &[&[
            "serin_leader{namespace='serin-system', pod='a'} 1x3 0x10",
            "serin_leader{namespace='serin-system', pod='b'} 0x3 1x10",
        ]],
    ),
    case(
        "SerinNotLooking",
        "10m",
        &["serin_last_look_timestamp_seconds{release='shop/shop', pod='a'} 60x20"],
        &[
            // Another agent looks.
            &[
                "serin_last_look_timestamp_seconds{release='shop/shop', pod='a'} 60x20",
                "serin_last_look_timestamp_seconds{release='shop/shop', pod='b'} 0+60x20",
            ],
            &[
                "serin_last_look_timestamp_seconds{release='shop/shop'} 60x20",
                "serin_release_driven{release='shop/shop'} 0x20",
            ],
        ],
    ),
    case(
        "SerinModuleMissing",
        "10m",
        &["serin_modules_missing_total{namespace='serin-system', pod='a'} 0 0 1x20"],
        &[&["serin_modules_missing_total{namespace='serin-system', pod='a'} 4x20"]],
    ),
    case(
        "SerinBudgetBurnsFast",
        "70m",
        &[
            "serin_release_requests_total{release='shop/shop', version='stable'} 0+1000x80",
            "serin_release_errors_total{release='shop/shop', version='stable'} 0+20x80",
        ],
        &[
            // Within ten times the budget.
            &[
                "serin_release_requests_total{release='shop/shop', version='stable'} 0+1000x80",
                "serin_release_errors_total{release='shop/shop', version='stable'} 0+10x80",
            ],
            // It is over.
            &[
                "serin_release_requests_total{release='shop/shop', version='canary'} 0+1000x80",
                "serin_release_errors_total{release='shop/shop', version='canary'} 0+20x60 1200x20",
            ],
            // It has just begun.
            &[
                "serin_release_requests_total{release='shop/shop', version='canary'} 0+1000x80",
                "serin_release_errors_total{release='shop/shop', version='canary'} 0x65 0+20x15",
            ],
        ],
    ),
    case(
        "SerinBudgetBurnsSlowly",
        "7h",
        &[
            "serin_release_requests_total{release='shop/shop', version='canary'} 0+1000x430",
            "serin_release_errors_total{release='shop/shop', version='canary'} 0+8x430",
        ],
        &[
            &[
                "serin_release_requests_total{release='shop/shop', version='canary'} 0+1000x430",
                "serin_release_errors_total{release='shop/shop', version='canary'} 0+4x430",
            ],
            // It is over.
            &[
                "serin_release_requests_total{release='shop/shop', version='canary'} 0+1000x430",
                "serin_release_errors_total{release='shop/shop', version='canary'} 0+20x380 7600x50",
            ],
        ],
    ),
];
