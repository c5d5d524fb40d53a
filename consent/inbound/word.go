package inbound

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// stopWords are what a whole message may say: the words of the carriers, then of
// languages in which opt-outs are customary. hooks.keywords adds to them.
var stopWords = []string{
	"stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "revoke", "optout", "opt out", "opt-out",
	"stopp", "abmelden", "arret", "arrêt", "arrêter", "désabonner", "baja", "alto", "parar", "pare", "sair", "cancelar",
	"basta", "cancella", "стоп", "отписаться", "afmelden", "avregistrer", "afmeld", "lopeta", "wypisz", "odhlásit",
	"leiratkozás", "dezabonare", "διακοπή", "iptal", "dur", "стій", "إيقاف", "الغاء", "הסר", "停止", "配信停止", "退订", "退訂", "取消", "중지", "수신거부", "बंद",
}

// startWords would mean the opposite, and grant nothing.
var startWords = []string{"start", "unstop", "yes", "resume", "subscribe"}

// words tells what messages say.
type words struct{ stop, start map[string]bool }

func newWords(more []string) words {
	w := words{map[string]bool{}, map[string]bool{}}
	for _, s := range append(more, stopWords...) {
		w.stop[plain(s)] = true
	}
	for _, s := range startWords {
		w.start[plain(s)] = true
	}
	delete(w.stop, "")
	return w
}

// plain is what two spellings of a word have in common.
func plain(s string) string {
	s = cases.Fold().String(norm.NFKC.String(s))
	s = strings.TrimFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsPunct(r) || unicode.IsSymbol(r) || unicode.Is(unicode.Cf, r) || r == '\ufe0f'
	})
	return strings.Join(strings.Fields(s), " ")
}

// verdict is what a message asks for.
type verdict int

const (
	nothing verdict = iota
	stop
	start
)

func (w words) of(m *Message) verdict {
	if m.OptOut {
		return stop
	}
	out := nothing
	for _, s := range m.Says {
		if len(s) > 200 {
			continue // no word of any list
		}
		switch p := plain(s); {
		case w.stop[p]:
			return stop
		case w.start[p]:
			out = start
		}
	}
	return out
}
