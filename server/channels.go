package server

import (
	"fmt"
	"net/http"

	"sluice/consent"
	"sluice/consent/inbound"
)

// openChannels prepares the doors for who may be written to.
func (m *machine) openChannels() error {
	key, err := phoneKey(m.config.Keys.Phone, m.config.DataDir, m.ledger.Index.Contacts())
	if err != nil {
		return err
	}
	addresses, err := consent.NewAddresses(key)
	if err != nil {
		return err
	}
	if was := m.state.contact; was != "" && was != addresses.Check() && m.ledger.Index.Contacts() > 0 {
		return fmt.Errorf("keys.phone, or %s without it, is another key than the one under which %d contacts are kept: nobody would be found any more. Put the old one back; %s", phoneKeyFile, m.ledger.Index.Contacts(), forgetContacts)
	}
	m.state.contact = addresses.Check()
	m.channels = &consent.ChannelHandler{Ledger: m.ledger, Addresses: addresses, Key: func(r *http.Request) ([]string, error) {
		k, ok := m.auth.key(r)
		if !ok {
			return nil, errBadKey
		}
		return k.sites, nil
	}}
	hooks := &m.config.Hooks
	m.inbound = inbound.New(inbound.Options{
		Ledger: m.ledger, Addresses: addresses, Counter: m.state.journal, Logger: m.log.With("room", "inbound"),
		Twilio:   inbound.Twilio{AuthToken: hooks.Twilio.AuthToken.Reveal(), URLs: m.hookURLs("twilio")},
		Meta:     inbound.Meta{AppSecret: hooks.Meta.AppSecret.Reveal(), VerifyToken: hooks.Meta.VerifyToken.Reveal()},
		GreenAPI: inbound.GreenAPI{Token: hooks.GreenAPI.Token.Reveal()},
		Sites:    hooks.Served(), Keywords: hooks.Keywords, Limit: m.limits.charge,
	})
	return nil
}

// hookURLs lists the addresses under which a provider may have been told of its
// door. The Host of a request is not among them: whoever sends it chooses it.
func (m *machine) hookURLs(provider string) []string {
	door := "/hooks/" + provider
	server := m.config.Server
	urls := []string{server.PublicURL + server.BasePath + door, server.PublicURL + door}
	for _, p := range m.ledger.Sites.All() {
		urls = append(urls, p.Site.PublicURL+door)
	}
	return urls
}

// bindChannels binds the doors of a site's backend.
func bindChannels(d doors, h *consent.ChannelHandler) {
	d.post("/api/v1/channels/:channel/grants", h.PostGrant)
	d.post("/api/v1/channels/:channel/grants/lookup", h.PostLookup)
	d.post("/api/v1/channels/:channel/grants/withdraw", h.PostWithdraw)
	d.get("/api/v1/channels/:channel/grants/:id", h.GetGrant)
	d.bind("/api/v1/channels/:channel/grants/:id", h.DeleteGrant, http.MethodDelete)
}

// bindHooks binds the doors of providers of messages.
func bindHooks(d doors, h *inbound.Handler) {
	d.post("/hooks/twilio", h.PostTwilio)
	d.get("/hooks/meta", h.GetMeta)
	d.post("/hooks/meta", h.PostMeta)
	d.post("/hooks/green-api", h.PostGreenAPI)
}
