//! What happens in the demo, as a pure function of a seed and a day.

use fastrand::Rng;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};
use serde_json::{Value, json};

/// Redemptions of a company on a weekday, on average.
const REDEMPTIONS: f64 = 5.0;

/// The companies. The first two send Zupy's v1; the third sends v2, which names no company.
pub(super) const COMPANIES: [&str; 3] = ["comp_bella_vista", "comp_soho", "default"];
const GAME: &str = "gm_dragons";

/// Members of each company.
const MEMBERS: usize = 40;

/// Weights of the hours from midnight on, with peaks at lunch and dinner.
const HOURS: [u32; 24] = [
    1, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 9, 16, 14, 6, 4, 4, 6, 11, 18, 17, 11, 6, 3,
];

struct Reward {
    id: &'static str,
    name: &'static str,
    kind: &'static str,
    value: u32,
    points: i64,
    /// How popular the reward is, compared with the others.
    weight: u32,
}

const fn reward(
    id: &'static str,
    name: &'static str,
    kind: &'static str,
    value: u32,
    points: i64,
    weight: u32,
) -> Reward {
    Reward {
        id,
        name,
        kind,
        value,
        points,
        weight,
    }
}

const REWARDS: [Reward; 6] = [
    reward(
        "rw_pizza",
        "Pizza Margherita Grátis",
        "product_free",
        35,
        1000,
        8,
    ),
    reward(
        "rw_burger",
        "Hambúrguer da Casa",
        "product_free",
        29,
        850,
        6,
    ),
    reward("rw_dessert", "Sobremesa Grátis", "product_free", 18, 500, 5),
    reward("rw_10", "10% de desconto", "percentage", 10, 300, 4),
    reward("rw_20", "R$ 20 de desconto", "fixed_amount", 20, 600, 3),
    reward(
        "rw_wine",
        "Vinho: leve 2, pague 1",
        "buy_one_get_one",
        60,
        1800,
        1,
    ),
];

const LOCATIONS: [&str; 4] = ["Loja Centro", "Loja Jardins", "Loja Moema", "Delivery"];
const PLATFORMS: [&str; 5] = ["pos", "pos", "manual", "goomer", "ifood"];
const STAFF: [&str; 5] = [
    "Ana Costa",
    "Bruno Lima",
    "Carla Dias",
    "Davi Rocha",
    "Elis Melo",
];
const TIERS: [&str; 4] = ["bronze", "silver", "gold", "platinum"];
const METHODS: [&str; 5] = ["app", "app", "website", "manual", "automatic"];
const FIRST_NAMES: [&str; 8] = [
    "Maria", "João", "Ana", "Pedro", "Beatriz", "Lucas", "Júlia", "Rafael",
];
const LAST_NAMES: [&str; 5] = ["Silva", "Souza", "Oliveira", "Santos", "Pereira"];

/// Which URL a webhook goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Redeemed,
    Used,
    V2,
    Game,
}

/// One webhook.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) door: Door,
    pub(super) at: Timestamp,
    pub(super) body: Value,
}

/// All webhooks, in the order in which the demo sends them.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
}

impl Plan {
    pub(super) fn new(seed: u64, days: u32, now: Timestamp) -> Self {
        let zone = TimeZone::get("America/Sao_Paulo").unwrap_or(TimeZone::UTC);
        let today = now.to_zoned(zone.clone()).date();
        let mut story = Story {
            random: Rng::with_seed(seed),
            zone,
            mark: format!("{}-{seed}", today.strftime("%y%m%d")),
            count: 0,
            steps: Vec::new(),
        };
        for back in (0..days).rev() {
            let day = today.checked_sub(i64::from(back).days()).unwrap_or(today);
            story.day(day);
        }
        let Story {
            mut random,
            mut steps,
            ..
        } = story;
        steps.retain(|step| step.at <= now);
        steps.sort_by_key(|step| step.at);
        Self {
            steps: disordered(steps, &mut random),
        }
    }
}

/// Repeats some webhooks, and delays some.
fn disordered(steps: Vec<Step>, random: &mut Rng) -> Vec<Step> {
    let mut placed = Vec::with_capacity(steps.len());
    for (index, step) in steps.into_iter().enumerate() {
        let delay = match random.u32(0..100) {
            0..2 => random.usize(5..200),
            _ => 0,
        };
        if random.u32(0..100) < 3 {
            placed.push((index + delay + random.usize(1..20), step.clone()));
        }
        placed.push((index + delay, step));
    }
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, step)| step).collect()
}

struct Story {
    random: Rng,
    zone: TimeZone,
    /// Distinguishes this demo's coupons from those of another day or seed.
    mark: String,
    count: u32,
    steps: Vec<Step>,
}

struct Member {
    id: String,
    name: String,
    email: String,
    tier: &'static str,
}

impl Story {
    fn day(&mut self, day: Date) {
        let factor = match day.weekday() {
            Weekday::Friday => 1.5,
            Weekday::Saturday | Weekday::Sunday => 1.8,
            Weekday::Monday => 0.7,
            _ => 1.0,
        };
        for (index, company) in COMPANIES.into_iter().enumerate() {
            // The first company is the largest.
            let size = [1.4, 1.0, 0.6][index];
            let spread = 0.7 + 0.6 * self.random.f64();
            let redemptions = (REDEMPTIONS * factor * size * spread).round() as u32;
            for _ in 0..redemptions {
                let at = self.time_of(day);
                let member = self.random.usize(0..MEMBERS);
                self.coupon(company, at, member);
            }
        }
        for _ in 0..self.random.u32(1..5) {
            let at = self.time_of(day);
            self.code(at);
        }
        // Sometimes a member redeems far too fast.
        if self.random.u32(0..10) == 0 {
            let at = self.time_of(day);
            for minute in 0..6 {
                let later = at.checked_add(SignedDuration::from_mins(3 * minute));
                self.coupon(COMPANIES[0], later.unwrap_or(at), 7);
            }
        }
    }

    /// A time of the day, most often at lunch or dinner.
    fn time_of(&mut self, day: Date) -> Timestamp {
        let hour = weighted(&mut self.random, HOURS.iter().copied());
        let (minute, second) = (self.random.i8(0..60), self.random.i8(0..60));
        let hour = i8::try_from(hour).unwrap_or(12);
        let local = day.at(hour, minute, second, 0).to_zoned(self.zone.clone());
        local.map_or(Timestamp::UNIX_EPOCH, |it: Zoned| it.timestamp())
    }

    fn member(&self, company: &str, number: usize) -> Member {
        let first = FIRST_NAMES[number % FIRST_NAMES.len()];
        let last = LAST_NAMES[number / FIRST_NAMES.len() % LAST_NAMES.len()];
        Member {
            id: format!("ZP-{:04X}{number:04X}", company.len() * 4099),
            name: format!("{first} {last}"),
            email: format!("member{number}@example.com"),
            // Most members are bronze.
            tier: TIERS[(number % 10).saturating_sub(6)],
        }
    }

    /// A coupon's life: a member redeems it, then uses, cancels or forgets it, or it expires.
    fn coupon(&mut self, company: &'static str, at: Timestamp, member: usize) {
        let member = self.member(company, member);
        let favourite = member.id.bytes().map(usize::from).sum::<usize>() % REWARDS.len();
        let reward = match self.random.u32(0..100) {
            0..40 => &REWARDS[favourite],
            _ => {
                let weights = REWARDS.iter().map(|it| it.weight);
                &REWARDS[weighted(&mut self.random, weights)]
            }
        };
        self.count += 1;
        let code = format!("DEMO-{}-{:05}", self.mark, self.count);
        let expires_at = after(at, 30 * 24 * 3600);
        self.redeem(company, &member, reward, &code, at, expires_at);
        match self.random.u32(0..100) {
            0..62 => {
                // Most uses follow within a day, some after weeks.
                let hours = (self.random.f64() * 6.0).exp();
                let used_at = after(at, (hours * 3600.0) as i64 + 300);
                self.use_it(company, &member, reward, &code, used_at, 1);
                // Two members share a screenshot of the coupon.
                if self.random.u32(0..80) == 0 {
                    let again = after(used_at, 5400);
                    self.use_it(company, &member, reward, &code, again, 2);
                }
            }
            62..68 => {
                let cancelled_at = after(at, self.random.i64(600..86_400));
                self.end(company, &member, reward, &code, cancelled_at, "cancelled");
            }
            68..92 => self.end(company, &member, reward, &code, expires_at, "expired"),
            // The member uses the coupon after it expired.
            92 => {
                let late = after(expires_at, 7200);
                self.use_it(company, &member, reward, &code, late, 1);
            }
            _ => {}
        }
    }

    fn redeem(
        &mut self,
        company: &str,
        member: &Member,
        reward: &Reward,
        code: &str,
        at: Timestamp,
        expires_at: Timestamp,
    ) {
        let method = METHODS[self.random.usize(0..METHODS.len())];
        if company == COMPANIES[2] {
            let data = json!({
                "customer_id": member.id, "coupon_code": code, "reward_id": reward.id,
                "reward_name": reward.name, "points_spent": reward.points,
                "valid_until": text(expires_at),
            });
            self.tell_v2("reward.redeemed", code, at, data);
            return;
        }
        let body = json!({
            "event": "coupon.redeemed", "timestamp": text(at), "company_id": company,
            "customer": customer(member),
            "coupon": {
                "coupon_code": code, "reward_id": reward.id, "reward_name": reward.name,
                "reward_description": reward.name, "points_spent": reward.points,
                "new_balance": self.random.i64(0..3000), "expires_at": text(expires_at),
                "redemption_method": method,
            },
            "discount_details": {
                "discount_type": reward.kind, "discount_value": reward.value, "minimum_purchase": 0,
            },
        });
        self.push(Door::Redeemed, at, body);
    }

    fn use_it(
        &mut self,
        company: &str,
        member: &Member,
        reward: &Reward,
        code: &str,
        at: Timestamp,
        order: u32,
    ) {
        let order = format!("ord_{code}_{order}");
        if company == COMPANIES[2] {
            let data = json!({
                "customer_id": member.id, "coupon_code": code, "reward_name": reward.name,
                "order_id": order, "used_at": text(at),
            });
            self.tell_v2("coupon.used", &order, at, data);
            return;
        }
        let order_cents = self.random.u32(3000..16_000) + reward.value * 100;
        let discount_cents = match reward.kind {
            "percentage" => order_cents * reward.value / 100,
            _ => reward.value * 100,
        };
        let money = |cents: u32| f64::from(cents) / 100.0;
        let location = weighted(&mut self.random, [8, 5, 3, 4].into_iter());
        let staff = self.random.usize(0..STAFF.len());
        let platform = self.random.usize(0..PLATFORMS.len());
        let body = json!({
            "event": "coupon.used", "timestamp": text(at), "company_id": company,
            "customer": customer(member),
            "usage": {
                "coupon_code": code, "reward_name": reward.name, "discount_type": reward.kind,
                "discount_applied": money(discount_cents), "order_value": money(order_cents),
                "final_value": money(order_cents - discount_cents), "location": LOCATIONS[location],
                "staff_member": STAFF[staff], "platform": PLATFORMS[platform],
                "order_id": order,
                "items_affected": [{
                    "name": reward.name, "quantity": 1, "unit_price": money(discount_cents),
                    "discount_applied": money(discount_cents),
                }],
            },
        });
        self.push(Door::Used, at, body);
    }

    /// Only Zupy's v2 reports cancellations and expiries.
    fn end(
        &mut self,
        company: &str,
        member: &Member,
        reward: &Reward,
        code: &str,
        at: Timestamp,
        how: &str,
    ) {
        if company != COMPANIES[2] {
            return;
        }
        let mut data = json!({
            "customer_id": member.id, "coupon_code": code, "reward_name": reward.name,
        });
        data[format!("{how}_at")] = text(at).into();
        self.tell_v2(&format!("coupon.{how}"), code, at, data);
    }

    fn tell_v2(&mut self, event: &str, named_by: &str, at: Timestamp, data: Value) {
        let body = json!({
            "event": event, "webhook_id": format!("{event}-{named_by}"),
            "timestamp": text(at), "data": data,
        });
        self.push(Door::V2, at, body);
    }

    /// A player of the game redeems a code.
    fn code(&mut self, at: Timestamp) {
        self.count += 1;
        let name = format!("DEMO-{}-{:05}", self.mark, self.count);
        let items = [
            ("WELCOME", "crystals", "Crystals", 999, 500),
            ("DRAGON", "egg", "Dragon Egg", 1999, 1),
        ];
        let (code, sku, item, cents, quantity) = items[self.random.usize(0..items.len())];
        let body = json!({
            "event_type": "coupon.redeemed",
            "event_data": {
                "player_id": format!("PLAYER-{}", self.random.u32(0..60)),
                "coupon": {"code": code, "sku": sku, "redeemed_at": at.as_second()},
                "item": {
                    "id": format!("itm_{sku}"), "name": item, "description": item, "sku": sku,
                    "quantity": quantity, "price": cents, "price_decimal": f64::from(cents) / 100.0,
                    "currency": "USD", "type": "item", "nested_items": null,
                },
            },
            "event_time": at.as_second(), "event_id": format!("whevt_{name}"),
            "idempotency_key": format!("idmpt_{name}"), "request_id": name, "sandbox": false,
            "trigger": "hub.redeem", "transaction_id": format!("whtx_{name}"), "context": null,
            "game_id": GAME,
        });
        self.push(Door::Game, at, body);
    }

    fn push(&mut self, door: Door, at: Timestamp, body: Value) {
        self.steps.push(Step { door, at, body });
    }
}

fn customer(member: &Member) -> Value {
    json!({
        "member_id": member.id, "email": member.email, "name": member.name, "tier": member.tier,
    })
}

fn text(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn after(at: Timestamp, seconds: i64) -> Timestamp {
    let later = at.checked_add(SignedDuration::from_secs(seconds));
    later.unwrap_or(Timestamp::MAX)
}

/// A random index, each as often as its weight says.
fn weighted(random: &mut Rng, weights: impl Iterator<Item = u32> + Clone) -> usize {
    let mut left = random.u32(0..weights.clone().sum::<u32>().max(1));
    let mut index = 0;
    for weight in weights {
        if left < weight {
            break;
        }
        left -= weight;
        index += 1;
    }
    index
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use webhooks::provider::{Content, RecordedBody, aghanim, read_recorded, zupy};

    use super::*;

    fn now() -> Timestamp {
        "2026-11-25T21:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_seed_tells_one_story() {
        assert_eq!(Plan::new(1, 5, now()), Plan::new(1, 5, now()));
        assert_ne!(Plan::new(1, 5, now()), Plan::new(2, 5, now()));
    }

    #[test]
    fn a_month_has_every_kind_of_traffic() {
        let plan = Plan::new(1, 30, now());
        let count = plan.steps.len();
        assert!((600..1500).contains(&count), "{count} webhooks");
        assert!(plan.steps.iter().all(|it| it.at <= now()));
        let bodies: Vec<_> = plan.steps.iter().map(|it| it.body.to_string()).collect();
        let different: BTreeSet<_> = bodies.iter().collect();
        assert!(different.len() < count, "no webhook is sent twice");
        assert!(
            !plan.steps.is_sorted_by_key(|it| it.at),
            "no webhook is late"
        );
        for kind in [
            "coupon.redeemed",
            "coupon.used",
            "reward.redeemed",
            "coupon.cancelled",
        ] {
            let has = bodies.iter().any(|it| it.contains(kind));
            assert!(has, "{kind}");
        }
    }

    #[test]
    fn a_week_is_busy_on_every_day_and_at_every_hour() {
        let hours = (0..366 * 24).step_by(29).map(|hours| hours * 3600);
        for now in hours.map(|seconds| after(now(), seconds)) {
            let steps = Plan::new(3, 7, now).steps;
            let of = |door| steps.iter().filter(|step| step.door == door).count();
            assert!(steps.len() > 50, "{now}: {} webhooks", steps.len());
            assert!(of(Door::Redeemed) > 0 && of(Door::Used) > 0, "{now}");
            let bodies: BTreeSet<_> = steps.iter().map(|it| it.body.to_string()).collect();
            assert!(
                bodies.len() < steps.len(),
                "{now}: no webhook is sent twice"
            );
        }
    }

    #[test]
    fn every_body_is_an_event() {
        for step in Plan::new(3, 40, now()).steps {
            let (provider, scheme) = match step.door {
                Door::Game => ("aghanim", aghanim::SCHEME.name),
                Door::V2 => ("zupy", zupy::V2.name),
                _ => ("zupy", zupy::V1.name),
            };
            let body = step.body.to_string();
            let recorded = RecordedBody {
                provider,
                scheme,
                tenant: "",
                body: &body,
                time_zone: None,
            };
            let content = read_recorded(&recorded);
            assert!(
                matches!(content, Some(Content::Event(_))),
                "{content:?} {body}"
            );
        }
    }
}
