// Package ga4 maps admitted events to requests of the Measurement Protocol of
// Google Analytics 4. It is a [sluice/collector/forward.Destination]: whether
// and when anything is sent is decided there.
//
// What leaves is judged first (package judge), because Google answers 2xx to
// everything that arrives. No address, no user_data and no user agent can be
// part of a payload: it has no place for them.
package ga4
