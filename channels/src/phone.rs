//! Phone numbers as people type them, and in the networks' form.
//!
//! - [`typed`]: the digits of a typed number.
//! - [`brazil`]: the prefixes that Brazilians type before a number, and the ninth digit of old
//!   mobiles.
//! - A port of Google's libphonenumber decides whether a number can exist, and whether it is a
//!   landline's.

mod brazil;
#[cfg(test)]
mod tests;
mod typed;

use rlibphonenumber::{
    PHONE_NUMBER_UTIL as LIBRARY, ParseError, PhoneNumber, PhoneNumberFormat, PhoneNumberType,
    Region, ValidationError, get_national_significant_number_owned as national_digits,
};

use self::typed::Typed;

/// Why this module refuses a number, for an operator. No reason quotes the number.
pub(crate) mod reason {
    pub(crate) const NONE: &str = "no phone number";
    pub(crate) const OTHER_CHARACTERS: &str = "a phone number with other characters than digits";
    pub(crate) const SEVERAL: &str = "more than one phone number";
    pub(crate) const NO_COUNTRY: &str = "a phone number whose country code does not exist";
    pub(crate) const NO_AREA: &str = "a phone number without its area code";
    pub(crate) const WRONG_AREA: &str = "a phone number whose area code does not exist";
    pub(crate) const TOO_SHORT: &str = "a phone number with too few digits for its country";
    pub(crate) const TOO_LONG: &str = "a phone number with too many digits for its country";
    pub(crate) const WRONG_LENGTH: &str =
        "a phone number of a length that its country does not have";
    pub(crate) const NOT_GIVEN_OUT: &str = "a phone number that its country does not give out";
    pub(crate) const LANDLINE: &str = "a landline, which takes no text messages";
    pub(crate) const SERVICE: &str =
        "the phone number of a service, such as 0800, and of no person";
}

/// A country with known numbers, in ISO 3166's two letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Country(Region);

impl Country {
    pub const BRAZIL: Self = Self(Region::BR);

    /// The country of a code such as `BR`, in upper or lower case.
    pub fn of_code(code: &str) -> Option<Self> {
        let code = code.to_ascii_uppercase();
        // Almost every tenant is in Brazil, so the start needs no table of numbers.
        if code == "BR" {
            return Some(Self::BRAZIL);
        }
        let is_code = code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        let region = Region::from_code(&code).ok().filter(|_| is_code)?;
        let is_known = LIBRARY.get_country_code_for_region(region).is_some();
        is_known.then_some(Self(region))
    }
}

/// A number that can exist. Personal data: never log it.
#[derive(Clone, PartialEq)]
pub struct Phone {
    e164: String,
    kind: Kind,
}

impl std::fmt::Debug for Phone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Phone")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Also a number of a country with mobiles that look like its landlines.
    Mobile,
    Landline,
    Service,
}

impl Phone {
    /// Reads a typed number. Without a country's code it belongs to this country.
    pub fn read(text: &str, country: Country) -> Result<Self, &'static str> {
        let typed = typed::read(text)?;
        let mut refused = None;
        for digits in readings(&typed, country) {
            match Self::of_digits(&digits, country) {
                Ok(phone) => return Ok(phone),
                // The likeliest reading comes first, so its reason counts.
                Err(reason) => _ = refused.get_or_insert(reason),
            }
        }
        Err(refused.unwrap_or(reason::NONE))
    }

    /// The number for a text message, in E.164: `+5511965958122`.
    pub fn for_sms(&self) -> Result<&str, &'static str> {
        match self.kind {
            Kind::Mobile => Ok(&self.e164),
            Kind::Landline => Err(reason::LANDLINE),
            Kind::Service => Err(reason::SERVICE),
        }
    }

    /// The number for WhatsApp, in E.164. A landline may have WhatsApp, because WhatsApp Business
    /// can verify it by a call.
    pub fn for_whatsapp(&self) -> Result<&str, &'static str> {
        match self.kind {
            Kind::Mobile | Kind::Landline => Ok(&self.e164),
            Kind::Service => Err(reason::SERVICE),
        }
    }

    fn of_digits(digits: &str, country: Country) -> Result<Self, &'static str> {
        let number = LIBRARY
            .parse(digits, Some(country.0))
            .map_err(|error| match error {
                ParseError::InvalidCountryCode => reason::NO_COUNTRY,
                ParseError::TooShortAfterIdd | ParseError::TooShortNsn => reason::TOO_SHORT,
                ParseError::TooLongNsn => reason::TOO_LONG,
                ParseError::NotANumber(_) => reason::TOO_SHORT,
            })?;
        let kind = match LIBRARY.get_number_type(&number) {
            PhoneNumberType::Mobile
            | PhoneNumberType::FixedLineOrMobile
            | PhoneNumberType::PersonalNumber
            | PhoneNumberType::VoIP => Kind::Mobile,
            PhoneNumberType::FixedLine => Kind::Landline,
            PhoneNumberType::TollFree
            | PhoneNumberType::PremiumRate
            | PhoneNumberType::SharedCost
            | PhoneNumberType::Pager
            | PhoneNumberType::UAN
            | PhoneNumberType::VoiceMail => Kind::Service,
            PhoneNumberType::Unknown => return Err(why_not(&number)),
        };
        let e164 = LIBRARY.format(&number, PhoneNumberFormat::E164);
        Ok(Self {
            e164: e164.into_owned(),
            kind,
        })
    }
}

/// The possible readings of the digits, the likeliest first: `+5511965958122`, or `11965958122` of
/// the tenant's own country.
fn readings(typed: &Typed, country: Country) -> Vec<String> {
    let digits = typed.digits.as_str();
    let abroad = match typed.is_international {
        true => Some(digits.strip_prefix("00").unwrap_or(digits)),
        false => digits.strip_prefix("00"),
    };
    let Some(abroad) = abroad else {
        return match country {
            Country::BRAZIL => brazil::readings(digits),
            _ => vec![digits.to_owned()],
        };
    };
    if let Some(national) = abroad.strip_prefix(brazil::CODE) {
        return brazil::readings(national);
    }
    let mut readings = vec![format!("+{abroad}")];
    // In some countries, 00 begins the prefix for calls abroad, such as 0011 in Australia. In
    // Brazil, the digits would read as 00 and a carrier.
    if !typed.is_international && country != Country::BRAZIL {
        readings.push(digits.to_owned());
    }
    readings
}

/// Why no such number exists.
fn why_not(number: &PhoneNumber) -> &'static str {
    use rlibphonenumber::NumberLengthType::{IsPossible, IsPossibleLocalOnly};
    match LIBRARY.is_possible_number_with_reason(number) {
        Err(ValidationError::InvalidCountryCode) => reason::NO_COUNTRY,
        Err(_) if brazil::lacks_area(number) => reason::NO_AREA,
        Err(ValidationError::TooShort) => reason::TOO_SHORT,
        Err(ValidationError::TooLong) => reason::TOO_LONG,
        Err(ValidationError::InvalidLength) => reason::WRONG_LENGTH,
        Ok(IsPossibleLocalOnly) => reason::NO_AREA,
        Ok(IsPossible) if brazil::lacks_area(number) => reason::NO_AREA,
        Ok(IsPossible) if !area_exists(number) => reason::WRONG_AREA,
        Ok(IsPossible) => reason::NOT_GIVEN_OUT,
    }
}

/// Whether some number of the country begins with this area. The test tries it with the rest of a
/// number that exists.
fn area_exists(number: &PhoneNumber) -> bool {
    let Some(region) = LIBRARY.get_region_for_country_code(number.country_code) else {
        return false;
    };
    let digits = national_digits(number);
    let mut has_areas = false;
    for kind in [PhoneNumberType::FixedLine, PhoneNumberType::Mobile] {
        let Ok(example) = LIBRARY.get_example_number_for_type_and_region(region, kind) else {
            continue;
        };
        let area = LIBRARY.get_length_of_geographical_area_code(&example);
        let example_digits = national_digits(&example);
        let (Some(area), Some(rest)) = (digits.get(..area), example_digits.get(area..)) else {
            continue;
        };
        if area.is_empty() {
            continue;
        }
        has_areas = true;
        let tried = format!("+{}{area}{rest}", number.country_code);
        if LIBRARY
            .parse(&tried, None)
            .is_ok_and(|it| LIBRARY.is_valid_number(&it))
        {
            return true;
        }
    }
    !has_areas
}
