package enrich

import (
	"regexp"
	"strings"
)

// Channel is one of GA4's default channel groups, so that both reports sort
// visits into the same drawers.
type Channel string

// The default channel groups.
const (
	Direct          Channel = "Direct"
	CrossNetwork    Channel = "Cross-network"
	PaidShopping    Channel = "Paid Shopping"
	PaidSearch      Channel = "Paid Search"
	PaidSocial      Channel = "Paid Social"
	PaidVideo       Channel = "Paid Video"
	Display         Channel = "Display"
	PaidOther       Channel = "Paid Other"
	OrganicShopping Channel = "Organic Shopping"
	OrganicSocial   Channel = "Organic Social"
	OrganicVideo    Channel = "Organic Video"
	OrganicSearch   Channel = "Organic Search"
	EmailChannel    Channel = "Email"
	Affiliates      Channel = "Affiliates"
	ReferralChannel Channel = "Referral"
	Audio           Channel = "Audio"
	SMS             Channel = "SMS"
	MobilePush      Channel = "Mobile Push"
	Unassigned      Channel = "Unassigned"
)

// Arrival is how a visitor came to a page.
type Arrival struct {
	Source  Source
	Channel Channel
}

// ReadArrival joins what the page's address and the referrer say. The label
// that somebody put on the link counts before what the browser tells: UTM,
// then ref, then a click id, then the referrer.
func ReadArrival(p *Page, r Source) Arrival {
	medium := strings.ToLower(p.UTM.Medium)
	var source Source
	switch {
	case p.UTM.Source != "":
		source = SourceNamed(p.UTM.Source)
	case p.Ref != "":
		source = SourceNamed(p.Ref)
		medium = first(medium, "referral")
	case p.Click.Source != "" && (r.Name == "" || p.Click.Medium != ""):
		source = SourceNamed(p.Click.Source)
		medium = first(medium, p.Click.Medium)
	case r.Name != "":
		source = r
		medium = first(medium, "referral")
	case medium == "" && p.UTM.Campaign == "":
		return Arrival{Channel: Direct}
	}
	if p.UTM.Source != "" {
		medium = first(medium, p.Click.Medium)
	}
	return Arrival{Source: source, Channel: channel(source, strings.ToLower(p.UTM.Source), medium, strings.ToLower(p.UTM.Campaign))}
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

var shopCampaign = regexp.MustCompile(`^(.*(([^a-df-z]|^)shop|shopping).*)$`)

// channel applies Google's published definitions in their order (Analytics
// help, "Default channel group": the first one that fits wins). named is
// utm_source, for the definitions that look at its words. Which sites are
// search engines, social networks, shops and video sites is the table in
// source.go: Google publishes its lists as a spreadsheet without a licence.
func channel(source Source, named, medium, campaign string) Channel {
	if named == "(direct)" && (medium == "" || medium == "(none)" || medium == "(not set)") {
		return Direct
	}
	if strings.Contains(campaign, "cross-network") {
		return CrossNetwork
	}
	shop := source.Kind == Shopping || strings.Contains(campaign, "shop") && shopCampaign.MatchString(campaign)
	if isPaid(medium) {
		return paid(source, shop, medium)
	}
	return unpaid(source, shop, named, medium)
}

// isPaid is ^(.*cp.*|ppc|retargeting|paid.*)$.
func isPaid(medium string) bool {
	return strings.Contains(medium, "cp") || medium == "ppc" || medium == "retargeting" || strings.HasPrefix(medium, "paid")
}

func paid(source Source, shop bool, medium string) Channel {
	switch {
	case shop:
		return PaidShopping
	case source.Kind == Search:
		return PaidSearch
	case source.Kind == Social:
		return PaidSocial
	case source.Kind == Video:
		return PaidVideo
	case medium == "cpm":
		return Display
	}
	return PaidOther
}

func unpaid(source Source, shop bool, named, medium string) Channel {
	switch medium {
	case "display", "banner", "expandable", "interstitial":
		return Display
	}
	switch {
	case shop:
		return OrganicShopping
	case source.Kind == Social:
		return OrganicSocial
	}
	switch medium {
	case "social", "social-network", "social-media", "sm", "social network", "social media":
		return OrganicSocial
	}
	switch {
	case source.Kind == Video, strings.Contains(medium, "video"):
		return OrganicVideo
	case source.Kind == Search, medium == "organic":
		return OrganicSearch
	case source.Kind == Email, isEmail(named), isEmail(medium):
		return EmailChannel
	}
	switch medium {
	case "affiliate", "affiliates":
		return Affiliates
	case "referral", "app", "link":
		return ReferralChannel
	case "audio":
		return Audio
	case "sms":
		return SMS
	}
	switch {
	case named == "sms":
		return SMS
	case strings.HasSuffix(medium, "push"), strings.Contains(medium, "mobile"), strings.Contains(medium, "notification"), named == "firebase":
		return MobilePush
	}
	return Unassigned
}

func isEmail(s string) bool { return s == "email" || s == "e-mail" || s == "e_mail" || s == "e mail" }
