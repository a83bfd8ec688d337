-- One try at one deployment, inside its cluster: where the decision says it goes, and
-- what of the body has to be another there. The credential is not its business.
--
-- All tries of a call share one set of headers, so each try writes every header that a
-- try before it may have written. They do not share the body: each gets it as it left
-- our filter.

local CALLS = { "signalbox", "envoy.filters.http.ext_authz" } -- where a decision is
local TRIES = "signalbox.tries" -- how each deployment answered, by name
local SENT = "signalbox.sent" -- what the tries have to know of each other

-- Figures that a provider's answer may have of its limits: what remains, and until when.
local LIMITS = {
  { "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests" },
  { "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens" },
  { "x-ratelimit-remaining-project-requests", "x-ratelimit-reset-project-requests" },
  { "x-ratelimit-remaining-project-tokens", "x-ratelimit-reset-project-tokens" },
  { "anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset" },
  { "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset" },
  { "anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset" },
  { "anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset" },
}

local LONGEST = 128 -- of a value that is passed on: more is no figure and no date

-- decided is what was decided of a try at this deployment, and of the call; nil: nothing
-- was.
local function decided(metadata, deployment)
  for _, namespace in ipairs(CALLS) do
    local call = metadata:get(namespace)
    local tries = call and call["tries"]
    if tries then
      return tries[deployment] or error("the decision names no try at " .. deployment), call
    end
  end
  return nil
end

-- spent is whether as many tries may have been billed as the hold pays for. Where it
-- pays for one, Envoy goes on only after tries that were not; where it pays for more,
-- one that was not answered may have been, and Envoy counts all tries alike.
local function spent(metadata, call)
  local paid = call and call["attempts"] or 1
  if paid <= 1 then
    return false
  end
  local silent = 0
  for _, try in pairs(metadata:get(TRIES) or {}) do
    if try["status"] == "0" then
      silent = silent + 1
    end
  end
  return silent >= paid
end

-- undecided is where a call goes that nobody has decided: only the deployment that is
-- configured for it has such paths, and only for what callers may ask at all.
local function undecided(paths, path)
  path = path:match("^[^?]*")
  local operation = path:match("^/openai/deployments/[%w._-]+(/.*)$")
  return paths and paths[operation and "/v1" .. operation or path] or error("nobody decided this call")
end

-- sent is what the first try found, for those after it, which find what it has written.
local function sent(metadata, headers)
  local known = metadata:get(SENT)
  if known == nil or known["length"] == nil then
    metadata:set(SENT, "length", headers:get("content-length") or "")
    known = metadata:get(SENT)
  end
  return known
end

-- whole is a text that is cut after so many bytes, and the pieces behind it, the last
-- one first.
local function whole(text, upto, behind)
  local pieces = { text:sub(1, upto) }
  for i = #behind, 1, -1 do
    pieces[#pieces + 1] = behind[i]
  end
  return table.concat(pieces)
end

-- edited applies edits one after another, each to what those before have made. They
-- nearly always come from the last to the first, and then none moves what the next one
-- means: a long body with many findings is not copied once for each of them.
local function edited(text, edits)
  local upto, behind = #text, {}
  for _, e in ipairs(edits) do
    local from, to = e[1], e[2]
    if to > upto and #behind > 0 then
      text, behind = whole(text, upto, behind), {}
      upto = #text
    end
    if from < 0 or to < from or to > upto then
      error("an edit is not of this body")
    end
    behind[#behind + 1] = text:sub(to + 1, upto)
    behind[#behind + 1] = e[3]
    upto = from
  end
  return whole(text, upto, behind)
end

local function prepare(handle)
  local headers, metadata, context = handle:headers(), handle:streamInfo():dynamicMetadata(), handle:filterContext()
  local deployment = context:get("deployment")
  local try, call = decided(metadata, deployment)
  if try == nil then
    try = { path = undecided(context:get("paths"), headers:get(":path")) }
  end
  if spent(metadata, call) then
    return false
  end
  metadata:set(TRIES, deployment, { status = "0" }) -- begun; nothing is known of its answer
  local known = sent(metadata, headers)
  if known["credential"] then
    headers:remove(known["credential"]) -- of the try before, which is none of this provider's business
  end
  if context:get("credential") then
    metadata:set(SENT, "credential", context:get("credential"))
  end
  headers:replace(":path", try["path"])
  local edits = try["edits"]
  if edits and #edits > 0 then
    local body = handle:body() or error("there is no body to edit")
    body:setBytes(edited(body:getBytes(0, body:length()), edits)) -- and its content-length
  elseif known["length"] ~= "" then
    headers:replace("content-length", known["length"])
  else
    headers:remove("content-length")
  end
  return true
end

-- A script that breaks lets the request go on as it is: unclamped, with a path of
-- another provider's. So it may not break.
function envoy_on_request(handle)
  local ok, sendable = pcall(prepare, handle)
  if not ok then
    handle:logErr("signalbox: " .. tostring(sendable))
    handle:respond({ [":status"] = "503" }, "signalbox: this call cannot be sent as it was decided")
  elseif not sendable then
    handle:respond({ [":status"] = "503" }, "signalbox: no provider answered, and the call may not be tried again")
  end
end

-- What is noted is sent on as text, and one byte that is none would break the message:
-- the answer with ext_proc, and with the access log all that stands beside it.
local function copy(into, headers, name)
  local value = headers:get(name)
  if value and #value <= LONGEST and value:find("^[ -~]*$") then
    into[name] = value
  end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local status = headers:get(":status")
  local refused = status == "429" or status == "503" or status == "529"
  local said = { status = status }
  copy(said, headers, "retry-after")
  copy(said, headers, "retry-after-ms")
  for _, limit in ipairs(LIMITS) do
    if refused or headers:get(limit[1]) == "0" then
      copy(said, headers, limit[1])
      copy(said, headers, limit[2])
      copy(said, headers, "date")
    end
  end
  handle:streamInfo():dynamicMetadata():set(TRIES, handle:filterContext():get("deployment"), said)
end
