//! Zupy's format v1 (2025): the customer, the coupon and its use side by side.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde::Deserialize;

use super::{CURRENCY, NAME, Zupy, kind};
use crate::event::{
    AffectedItem, Discount, Envelope, Event, EventKey, Fact, Member, Money, Redemption, Reward,
    Usage,
};
use crate::provider::wire::{self, Field, Object, Problem, Problems, Until};
use crate::provider::{Content, Parsed};
use crate::verify::Verified;

/// The types of v1 that this code can read.
const TYPES: [&str; 3] = [
    Zupy::COUPON_REDEEMED,
    Zupy::COUPON_USED,
    Zupy::CUSTOMER_REGISTERED,
];

/// The fields of a customer that hold no personal data apart from the id.
pub(in crate::provider) const NOT_PERSONAL: [&str; 2] = ["member_id", "tier"];

pub(super) fn parse(zupy: &Zupy, verified: &Verified<'_>) -> Parsed {
    let body: Body = match wire::parse(verified.body()) {
        Ok(body) => body,
        Err(problem) => return Parsed::unreadable(problem),
    };
    let sent_at = body.timestamp.value().copied();
    let tenant = verified.tenant();
    let content = match kind(&body.event) {
        Some(kind) if !zupy.handles(&kind, &TYPES) => Content::Ignored(kind),
        Some(kind) if kind == Zupy::CUSTOMER_REGISTERED => {
            Content::settle(registered(body, tenant))
        }
        Some(kind) if kind == Zupy::COUPON_USED => Content::settle(used(body, tenant)),
        _ => Content::settle(redeemed(body, verified)),
    };
    Parsed { sent_at, content }
}

/// A body as Zupy sends it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Body {
    /// The type: `coupon.redeemed`, `coupon.used` or `customer.registered`. Others are ignored.
    event: Field<String>,
    /// When the event happened. A body's age counts from this time, because no signed header holds
    /// one.
    timestamp: Field<Timestamp>,
    /// The company, which is the tenant. Without a company, the tenant that the secret names
    /// counts.
    company_id: Field<String>,
    /// If the object is missing, the problem is a missing `customer.member_id`.
    customer: Field<Customer>,
    /// Only redemptions have this object.
    coupon: Field<Coupon>,
    /// Only uses have this object.
    usage: Field<CouponUsage>,
    /// Beside `coupon`, as in the provider's samples.
    discount_details: Field<DiscountDetails>,
}

/// The customer whom the event is about.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Customer {
    /// The only field that every customer has.
    member_id: Field<String>,
    /// The phone number of the member, as in `+5511965958122`.
    whatsapp: Field<String>,
    /// Missing if the customer gave no address.
    email: Field<String>,
    /// First and last name in the page's samples.
    name: Field<String>,
    /// `default`, `bronze`, `silver`, `gold`, `platinum` or `vip`, or a word that Zupy adds.
    tier: Field<String>,
}

/// The coupon that was redeemed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Coupon {
    /// The page calls the code unique, so each code belongs to one customer.
    coupon_code: Field<String>,
    /// Zupy's id for the reward, as in `rw_pizza_margherita`.
    reward_id: Field<String>,
    /// As customers see it. The inventory reserves the product of this name.
    reward_name: Field<String>,
    /// As customers see it, longer than the name.
    reward_description: Field<String>,
    /// More than 0.
    points_spent: Field<i64>,
    /// The points that the customer has left.
    new_balance: Field<i64>,
    /// RFC 3339, or a date without a time.
    expires_at: Field<Until>,
    /// The conditions of the coupon's use, as customers see them.
    terms: Field<String>,
    /// `automatic`, `manual`, `app` or `website`, or a word that Zupy adds.
    redemption_method: Field<String>,
    /// Inside `coupon`, as in the provider's code.
    discount_details: Field<DiscountDetails>,
}

/// What the coupon takes off an order.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct DiscountDetails {
    /// `percentage`, `fixed_amount`, `product_free` or `buy_one_get_one`, or a word that Zupy adds.
    discount_type: Field<String>,
    /// Percent for a percentage, else reais.
    discount_value: Field<Decimal>,
    /// The most that the coupon takes off, in reais; null if there is no limit.
    maximum_discount: Field<Decimal>,
    /// The least value of an order, in reais; 0 or null if there is no limit.
    minimum_purchase: Field<Decimal>,
}

/// The use of a coupon for an order.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct CouponUsage {
    /// The code of the redemption, which may arrive after the use.
    coupon_code: Field<String>,
    /// As in the redemption.
    reward_name: Field<String>,
    /// As in `discount_details`.
    discount_type: Field<String>,
    /// What the coupon took off, in reais; more than 0.
    discount_applied: Field<Decimal>,
    /// The order's value before the discount, in reais; more than 0.
    order_value: Field<Decimal>,
    /// What the customer paid, in reais.
    final_value: Field<Decimal>,
    /// The store, by its name.
    location: Field<String>,
    /// The person who took the coupon, by name.
    staff_member: Field<String>,
    /// `pos`, `manual`, `goomer`, `ifood` or `repediu`, or a word that Zupy adds.
    platform: Field<String>,
    /// Missing if the use belongs to no order; then the member and a number name the use.
    order_id: Field<String>,
    /// The lines of the order that got the discount.
    items_affected: Field<Vec<Field<UsedItem>>>,
}

/// A line of the order.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct UsedItem {
    /// The product, as the till names it.
    name: Field<String>,
    /// A number of units, or a fraction such as 0.5.
    quantity: Field<Decimal>,
    /// The price of one unit, in reais.
    unit_price: Field<Decimal>,
    /// In reais, of one unit or of the whole line: tills differ.
    discount_applied: Field<Decimal>,
}

impl Object for Body {}
impl Object for Customer {}
impl Object for Coupon {}
impl Object for DiscountDetails {}
impl Object for CouponUsage {}
impl Object for UsedItem {}

/// The fields that every event has.
struct Common {
    tenant: Option<String>,
    occurred_at: Option<Timestamp>,
    member: Option<Member>,
}

fn redeemed(body: Body, verified: &Verified<'_>) -> Result<Event, Vec<Problem>> {
    let mut problems = Problems::default();
    let of_secret = verified.tenant();
    let common = common(
        &mut problems,
        body.event,
        body.timestamp,
        tenant(body.company_id, of_secret),
        body.customer,
    );
    let beside = problems.optional("discount_details", body.discount_details);
    let beside = beside.map(|it| Details::read(&mut problems, "discount_details", it));
    let coupon = problems.section("coupon", body.coupon);
    let redemption = coupon.and_then(|mut coupon| {
        const INSIDE: &str = "coupon.discount_details";
        let inside = problems.optional(INSIDE, std::mem::take(&mut coupon.discount_details));
        let inside = inside.map(|it| Details::read(&mut problems, INSIDE, it));
        let details = match (beside, inside) {
            (Some(beside), Some(inside)) => Some(beside.and(&mut problems, inside)),
            (beside, inside) => beside.or(inside),
        };
        // Without a company there is no event, so any zone will do.
        let zone = verified.zone(common.tenant.as_deref().unwrap_or_default());
        let discount = details.and_then(Details::discount);
        read_coupon(&mut problems, coupon, discount, &zone)
    });
    let event = (|| {
        let (tenant, redemption) = (common.tenant?, redemption?);
        Some(Event {
            key: EventKey::redeemed(NAME, &tenant, &redemption.coupon_code),
            provider: NAME.into(),
            tenant,
            occurred_at: common.occurred_at?,
            sandbox: false,
            received_at: None,
            member: common.member?,
            fact: Fact::Redeemed(redemption),
            envelope: Envelope::default(),
            warnings: Vec::new(),
        })
    })();
    problems.settle(event)
}

fn used(body: Body, of_secret: Option<&str>) -> Result<Event, Vec<Problem>> {
    let mut problems = Problems::default();
    let common = common(
        &mut problems,
        body.event,
        body.timestamp,
        tenant(body.company_id, of_secret),
        body.customer,
    );
    let usage = problems.section("usage", body.usage);
    let usage = usage.and_then(|usage| read_usage(&mut problems, usage));
    let event = (|| {
        let (tenant, usage, member) = (common.tenant?, usage?, common.member?);
        let key = match &usage.order_id {
            Some(order_id) => EventKey::used(NAME, &tenant, &usage.coupon_code, order_id),
            None => EventKey::used_by(NAME, &tenant, &usage.coupon_code, &member.id, 1),
        };
        Some(Event {
            key,
            provider: NAME.into(),
            tenant,
            occurred_at: common.occurred_at?,
            sandbox: false,
            received_at: None,
            member,
            fact: Fact::Used(usage),
            envelope: Envelope::default(),
            warnings: Vec::new(),
        })
    })();
    problems.settle(event)
}

fn registered(body: Body, of_secret: Option<&str>) -> Result<Event, Vec<Problem>> {
    let mut problems = Problems::default();
    let common = common(
        &mut problems,
        body.event,
        body.timestamp,
        tenant(body.company_id, of_secret),
        body.customer,
    );
    let event = (|| {
        let (tenant, member, at) = (common.tenant?, common.member?, common.occurred_at?);
        Some(Event {
            key: EventKey::of_member(NAME, &tenant, &member.id, "registered", &at.to_string()),
            provider: NAME.into(),
            tenant,
            occurred_at: at,
            sandbox: false,
            received_at: None,
            member,
            fact: Fact::Enrolled,
            envelope: Envelope::default(),
            warnings: Vec::new(),
        })
    })();
    problems.settle(event)
}

/// The company that the body names, else the company that the secret names.
fn tenant(company_id: Field<String>, of_secret: Option<&str>) -> Field<String> {
    match (company_id, of_secret) {
        (Field::Absent | Field::Null, Some(tenant)) => Field::Value(tenant.to_owned()),
        (company_id, _) => company_id,
    }
}

fn common(
    problems: &mut Problems,
    event: Field<String>,
    timestamp: Field<Timestamp>,
    company_id: Field<String>,
    customer: Field<Customer>,
) -> Common {
    problems.required("event", event);
    let occurred_at = problems.required("timestamp", timestamp);
    let tenant = problems.name("company_id", company_id);
    let customer = problems.section("customer", customer);
    let member = customer.and_then(|customer| {
        let id = problems.name("customer.member_id", customer.member_id);
        let name = problems.text("customer.name", customer.name);
        let email = problems.text("customer.email", customer.email);
        let phone = problems.text("customer.whatsapp", customer.whatsapp);
        let tier = problems.text("customer.tier", customer.tier);
        Some(Member {
            id: id?,
            name,
            email,
            phone,
            tier,
        })
    });
    Common {
        tenant,
        occurred_at,
        member,
    }
}

fn read_coupon(
    problems: &mut Problems,
    coupon: Coupon,
    discount: Option<Discount>,
    zone: &TimeZone,
) -> Option<Redemption> {
    let coupon_code = problems.name("coupon.coupon_code", coupon.coupon_code);
    let points_spent = problems.positive("coupon.points_spent", coupon.points_spent);
    let expires_at = problems.until("coupon.expires_at", coupon.expires_at, zone);
    let reward = Reward {
        id: problems.text("coupon.reward_id", coupon.reward_id),
        name: problems.text("coupon.reward_name", coupon.reward_name),
        description: problems.text("coupon.reward_description", coupon.reward_description),
        terms: problems.text("coupon.terms", coupon.terms),
        items: Vec::new(),
    };
    let new_balance = problems.optional("coupon.new_balance", coupon.new_balance);
    let method = problems.text("coupon.redemption_method", coupon.redemption_method);
    Some(Redemption {
        coupon_code: coupon_code?,
        reward,
        points_spent: Some(points_spent?),
        new_balance,
        expires_at: Some(expires_at?),
        method,
        discount,
    })
}

/// A discount from one of its two places.
struct Details {
    kind: Option<String>,
    value: Option<Decimal>,
    maximum: Option<Decimal>,
    minimum_purchase: Option<Decimal>,
}

impl Details {
    fn read(problems: &mut Problems, path: &str, details: DiscountDetails) -> Self {
        let at = |name: &str| format!("{path}.{name}");
        Self {
            kind: problems.text(&at("discount_type"), details.discount_type),
            value: problems.optional(&at("discount_value"), details.discount_value),
            maximum: problems.optional(&at("maximum_discount"), details.maximum_discount),
            minimum_purchase: problems.optional(&at("minimum_purchase"), details.minimum_purchase),
        }
    }

    /// Unites the two places: each adds what the other leaves out, and a contradiction is a
    /// problem.
    fn and(self, problems: &mut Problems, inside: Self) -> Self {
        fn one<T: PartialEq>(
            problems: &mut Problems,
            name: &str,
            beside: Option<T>,
            inside: Option<T>,
        ) -> Option<T> {
            if beside.is_some() && inside.is_some() && beside != inside {
                let field = format!("coupon.discount_details.{name}");
                problems.add(
                    field,
                    "must be what discount_details beside the coupon says",
                );
            }
            beside.or(inside)
        }
        Self {
            kind: one(problems, "discount_type", self.kind, inside.kind),
            value: one(problems, "discount_value", self.value, inside.value),
            maximum: one(problems, "maximum_discount", self.maximum, inside.maximum),
            minimum_purchase: one(
                problems,
                "minimum_purchase",
                self.minimum_purchase,
                inside.minimum_purchase,
            ),
        }
    }

    /// A discount without a type keeps its value and its limits. `None` if both places are empty.
    fn discount(self) -> Option<Discount> {
        let is_stated = self.kind.is_some()
            || self.value.is_some()
            || self.maximum.is_some()
            || self.minimum_purchase.is_some();
        is_stated.then(|| Discount {
            kind: self.kind.unwrap_or_default().into(),
            value: self.value.map(|value| value.normalize()),
            maximum: self.maximum.map(reais),
            minimum_purchase: self.minimum_purchase.map(reais),
        })
    }
}

fn read_usage(problems: &mut Problems, usage: CouponUsage) -> Option<Usage> {
    let coupon_code = problems.name("usage.coupon_code", usage.coupon_code);
    let discount_applied = problems.positive("usage.discount_applied", usage.discount_applied);
    let order_value = problems.positive("usage.order_value", usage.order_value);
    let reward_name = problems.text("usage.reward_name", usage.reward_name);
    let discount_kind = problems.text("usage.discount_type", usage.discount_type);
    let final_value = problems.optional("usage.final_value", usage.final_value);
    let location = problems.text("usage.location", usage.location);
    let staff_member = problems.text("usage.staff_member", usage.staff_member);
    let platform = problems.text("usage.platform", usage.platform);
    let order_id = problems.text("usage.order_id", usage.order_id);
    let order_id = match order_id {
        Some(order_id) => Some(problems.key_part("usage.order_id", order_id)?),
        None => None,
    };
    let items = problems.optional("usage.items_affected", usage.items_affected);
    let items = items.unwrap_or_default().into_iter().enumerate();
    let items = items
        .filter_map(|(index, item)| {
            let path = format!("usage.items_affected[{index}]");
            let item = problems.optional(&path, item)?;
            Some(read_item(problems, &path, item))
        })
        .collect();
    Some(Usage {
        coupon_code: coupon_code?,
        reward_name,
        discount_kind: discount_kind.map(Into::into),
        discount_applied: Some(reais(discount_applied?)),
        order_value: Some(reais(order_value?)),
        final_value: final_value.map(reais),
        location,
        staff_member,
        platform,
        order_id,
        items,
    })
}

fn read_item(problems: &mut Problems, path: &str, item: UsedItem) -> AffectedItem {
    let unit_price = problems.optional(&format!("{path}.unit_price"), item.unit_price);
    let discount = problems.optional(&format!("{path}.discount_applied"), item.discount_applied);
    let quantity = problems.optional(&format!("{path}.quantity"), item.quantity);
    AffectedItem {
        name: problems.text(&format!("{path}.name"), item.name),
        quantity: quantity.map(|quantity| quantity.normalize()),
        unit_price: unit_price.map(reais),
        discount_applied: discount.map(reais),
    }
}

fn reais(amount: Decimal) -> Money {
    Money::new(amount, CURRENCY)
}
