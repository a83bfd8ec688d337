package door

import (
	"net/http"
	"time"

	"github.com/signalbox-dev/signalbox/decision/health"
)

// AboutUs reports whether a status speaks of our account with the provider. Shown
// to the caller it would say that their key, or their money, is not good; an SDK
// would raise just that, and its user would go looking in the wrong place.
func AboutUs(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusProxyAuthRequired:
		return true
	}
	return false
}

// Shown is what the head of a provider's answer shows of a deployment. A 403 may be
// about one caller's prompt, and must not take the deployment from all others.
func Shown(status int, header http.Header, began time.Time) health.Sign {
	useless := status < 200 || status >= 300 && status < 400 || AboutUs(status) && status != http.StatusForbidden
	return health.Sign{Status: status, Header: header, Failed: useless, Began: began}
}
