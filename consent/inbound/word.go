package inbound

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// stopWords mean STOP wherever they stand: on a button as well.
var stopWords = []string{
	"stop", "stopall", "stop all", "unsubscribe", "optout", "opt out", "opt-out", "stop promotions", "stop messages",
	"stopp", "abmelden", "werbung stoppen", "afmelden", "avregistrer", "afmeld", "arrête", "arrêter", "désabonner", "se désabonner", "arrêter les promotions",
	"baja", "darse de baja", "detener promociones", "parar promoções", "descadastrar", "disiscriviti", "interrompi promozioni",
	"стоп", "отписаться", "стій", "відписатися", "wypisz", "odhlásit", "leiratkozás", "dezabonare", "διακοπή", "lopeta", "iptal",
	"إيقاف", "إلغاء الاشتراك", "הסר", "停止", "配信停止", "退订", "退訂", "수신거부", "बंद",
}

// typedWords mean STOP where somebody wrote them. On a button they may be about
// something else: to cancel an appointment, to leave a menu.
var typedWords = []string{
	"cancel", "end", "quit", "revoke", "arret", "parar", "sair", "cancelar", "basta", "cancella", "إلغاء", "取消", "중지",
}

// startWords would mean the opposite, and grant nothing.
var startWords = []string{"start", "unstop", "resume", "subscribe"}

// words tells what messages say.
type words struct{ stop, typed, start map[string]bool }

func newWords(more []string) words {
	set := func(list []string) map[string]bool {
		out := map[string]bool{}
		for _, s := range list {
			out[plain(s)] = true
		}
		delete(out, "")
		return out
	}
	return words{set(append(more[:len(more):len(more)], stopWords...)), set(typedWords), set(startWords)}
}

// plain is what spellings of a word have in common: without case, accents, width
// and what stands around it.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		// Accents of Latin, Greek and Cyrillic, and the hamza. The marks of other
		// scripts are letters.
		if 0x300 <= r && r <= 0x36f || 0x653 <= r && r <= 0x655 {
			return -1
		}
		return r
	}, norm.NFKD.String(cases.Fold().String(norm.NFKC.String(s))))
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

// maxWord is the longest text, in bytes, that may be a word of a list.
const maxWord = 200

func (w words) of(m *Message) verdict {
	if m.OptOut {
		return stop
	}
	out := nothing
	for _, s := range m.Buttons {
		switch p := plain(s[:min(len(s), maxWord)]); {
		case w.stop[p]:
			return stop
		case w.start[p]:
			out = start
		}
	}
	switch p := plain(m.Text); {
	case len(m.Text) > maxWord:
	case w.stop[p] || w.typed[p]:
		return stop
	case w.start[p]:
		out = start
	}
	return out
}
