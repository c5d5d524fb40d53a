package consent

import (
	"fmt"
	"slices"
	"strings"
)

// eea are the countries whose providers receive data without a transfer: the
// EU, and Iceland, Liechtenstein and Norway (EEA Joint Committee Decision
// 154/2018).
var eea = strings.Fields(`AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK IS LI NO`)

// adequate are the countries with an adequacy decision (GDPR Art. 45), as of
// 2026-11-25: Andorra 2010/625/EU, Argentina 2003/490/EC, Brazil (EU)
// 2026/179, Canada 2002/2/EC (commercial organisations), Switzerland
// 2000/518/EC, Faroe Islands 2010/146/EU, United Kingdom (EU) 2021/1772,
// Guernsey 2003/821/EC, Israel 2011/61/EU, Isle of Man 2004/411/EC, Jersey
// 2008/393/EC, Japan (EU) 2019/419, South Korea (EU) 2022/254, New Zealand
// 2013/65/EU, Uruguay 2012/484/EU. The United States are not among them: there
// it is the company that has to take part (dpf, (EU) 2023/1795).
var adequate = strings.Fields(`AD AR BR CA CH FO GB GG IL IM JE JP KR NZ UY`)

// TransferProblem says what is wrong with the basis on which data reach the
// service's provider (GDPR Art. 44 to 46), and what to do about it; "" where
// nothing is. What stays with the controller is no transfer.
func (s *Service) TransferProblem() string {
	switch inside := slices.Contains(eea, s.Country); {
	case !s.External || s.Country == "":
		return ""
	case (s.Transfer == "" || s.Transfer == "none") && !inside:
		return fmt.Sprintf("is missing: %s is outside the EEA; write %s", s.Country, basesFor(s.Country))
	case s.Transfer == "adequacy" && !inside && !slices.Contains(adequate, s.Country):
		return fmt.Sprintf("rests on an adequacy decision, and there is none for %s; write %s", s.Country, basesFor(s.Country))
	case s.Transfer == "dpf" && !inside && s.Country != "US":
		return fmt.Sprintf("rests on the EU-US Data Privacy Framework, and %s is not the United States; write %s", s.Country, basesFor(s.Country))
	}
	return ""
}

// basesFor lists what a transfer to a country can rest on.
func basesFor(country string) string {
	const scc = "scc where standard contractual clauses are signed"
	switch {
	case country == "US":
		return "dpf where dataprivacyframework.gov lists the company, or " + scc
	case slices.Contains(adequate, country):
		return "adequacy, since the Commission has decided that the country protects enough"
	}
	return scc
}
