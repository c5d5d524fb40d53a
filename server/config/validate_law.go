package config

import (
	"slices"

	"sluice/consent"
)

// validateLaw checks what no configuration may say of a service under one of
// the site's purposes. Each rule names the way out.
func (v *Service) validateLaw(k *checker, path, controller string, purposes []string) {
	_, known := preset(v.Preset)
	own := v.Preset == "" || v.Preset == Webhook // names all its fields
	out := v.consent(controller)
	if !own && !known || !slices.Contains(purposes, string(out.Purpose)) {
		return // said already
	}
	if out.Name == consent.Statistics && out.Purpose != consent.Analytics && out.Purpose != consent.Essential {
		k.say(path+".purpose", "is not %s, under which the site's own events are asked for and taken; leave purpose out, or give a service of your own another name", consent.Analytics)
	}
	v.validateAdvertising(k, path, &out)
	if out.Purpose == consent.Essential {
		v.validateEssential(k, path, &out)
	}
	if out.External && out.Country == "" {
		k.say(path+".country", "is missing; visitors read where their data goes, and outside the EEA it takes a basis (transfer); write the provider's country: US")
	}
	if problem := out.TransferProblem(); problem != "" {
		k.say(path+".transfer", "%s (GDPR Art. 44)", problem)
	}
}

// validateAdvertising keeps advertising under a purpose that says so: visitors
// who allow statistics, settings or videos have not allowed it (GDPR Art.
// 4(11), "specific").
func (v *Service) validateAdvertising(k *checker, path string, out *consent.Service) {
	if !slices.Contains([]consent.Purpose{consent.Analytics, consent.Preference, consent.Media}, out.Purpose) {
		return // essential has a rule of its own
	}
	if p, ok := preset(v.Preset); ok && p.Purpose == consent.Marketing {
		k.say(path+".purpose", "%s advertises, which %s does not cover; leave purpose out, or name one of your own that says so", p.Title, out.Purpose)
		return
	}
	if len(out.ConsentMode) > 0 {
		k.say(path+".consent_mode", "turns on advertising, which %s does not cover; write purpose: marketing, or leave consent_mode out", out.Purpose)
	}
}

// validateEssential lets through what the visitor has asked for and cannot be
// given otherwise (Directive 2002/58/EC Art. 5(3), second sentence), and
// nothing else: it runs without being asked.
func (v *Service) validateEssential(k *checker, path string, out *consent.Service) {
	p, ok := preset(v.Preset)
	switch {
	case ok && p.Purpose != consent.Essential:
		k.say(path+".purpose", "%s is not strictly necessary, so it needs consent; leave purpose out, which makes it %s", v.slug(), p.Purpose)
	case v.Preset == Webhook: // no token has a bit for it, so no grant could be checked
		k.say(path+".purpose", "%s is sent the site's events, which takes a grant, and nobody is asked about what is essential; write analytics, or what it is for", v.slug())
	case len(out.ConsentMode) > 0:
		k.say(path+".consent_mode", "turns on advertising, which is never essential; write purpose: marketing, or leave consent_mode out")
	case ok && len(out.Pages) == 0:
		k.say(path+".pages", "is empty, and %s is essential only where it is needed; name those pages: [%s]", p.Title, p.Pages[0])
	case !ok && v.Necessary == "":
		k.say(path+".necessary", "is missing; an essential service runs without consent, so say what the visitor asked for that cannot be given without it (they read it), or write another purpose")
	}
}
