"""Every text that tells a person what went wrong, by code (UX.md section 10).

`title` says what happened, `text` why and what to do; `{gaps}` are filled by the error's facts.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One catalogue entry.

    Attributes:
        actions: label and relative target of the ways out, such as ("Home", "/").
        retryable: whether the same request can succeed later without a change.
    """

    title: str
    text: str = ""
    not_done: str = ""
    actions: tuple[tuple[str, str], ...] = ()
    retryable: bool = False


CATALOGUE: dict[str, Entry] = {
    # What was typed or sent
    "E-FIELDS": Entry("There is something to correct.", "Look at the marked fields."),
    "E-FIELD-EMPTY": Entry("Enter {what}.", "Enter {what}."),
    "E-FIELD-LONG": Entry(
        "{what} is too long.", "{what} must be {most} characters or fewer. It has {length}."
    ),
    "E-FIELD-SHORT": Entry("{what} is too short.", "{what} must be {least} characters or more."),
    "E-FIELD-RANGE": Entry("{what} is out of range.", "{what} must be between {least} and {most}."),
    "E-FIELD-TYPE": Entry("{what} has the wrong kind of value.", "{what} must be {wanted}."),
    "E-FIELD-CHOICE": Entry("{what} is not one of the choices.", "Choose one of: {choices}."),
    "E-FIELD-UNKNOWN": Entry(
        "“{name}” is not a known field.", "Remove “{name}”. Known fields are: {known}."
    ),
    "E-FIELD-TAKEN": Entry(
        "{what} is taken.", "There is already a {thing} called “{name}”. Choose another name."
    ),
    "E-FIELD": Entry("{what} cannot be used.", "{text}"),
    "E-EMAIL": Entry("This is no email address.", "Enter an email address like name@example.com."),
    # Requests that cannot be read
    "E-JSON": Entry("The request cannot be read.", "{reason}", "Nothing was changed."),
    "E-JSON-TYPE": Entry(
        "The request must be JSON.",
        "Send it with the header Content-Type: application/json.",
        "Nothing was changed.",
    ),
    "E-TOO-LARGE": Entry(
        "The request is too large.", "It may have at most {most}.", "Nothing was changed."
    ),
    "E-METHOD": Entry("This address does not take {method}.", "It takes: {allowed}."),
    "E-BAD-REQUEST": Entry("The request cannot be read.", "{reason}", "Nothing was changed."),
    "E-HOST": Entry(
        "This address is not served here.",
        "Open Deckhand under the address its keeper gave you.",
    ),
    "E-FORM-OLD": Entry(
        "This form is too old or came from another site.",
        "Open the page again and repeat the last step.",
        "Nothing was changed.",
    ),
    "E-FORM-SENT": Entry("This form was already sent.", "Its result stands where it led."),
    "E-IDEM-MISSING": Entry(
        "The header Idempotency-Key is missing.",
        "Send any text of your own, up to 255 characters. The same key never starts two runs.",
        "Nothing was started.",
    ),
    "E-IDEM-LONG": Entry(
        "This Idempotency-Key cannot be used.",
        "It may have 1 to 255 characters, of English letters, digits, signs and spaces.",
        "Nothing was started.",
    ),
    "E-IDEM-OURS": Entry(
        "The Idempotency-Key begins like one of Deckhand’s own.",
        "Take one that does not begin with “{prefix}”.",
        "Nothing was started.",
    ),
    "E-IDEM-OTHER": Entry(
        "This Idempotency-Key was used for another request.",
        "Send the same body again, or take a new key.",
        "Nothing was started.",
    ),
    "E-IDEM-BUSY": Entry(
        "The first request with this Idempotency-Key is still running.",
        "Ask again in {retry_after} s.",
        retryable=True,
    ),
    # Who and where
    "E-SIGN-IN": Entry(
        "Sign in to go on.", "You are not signed in here.", actions=(("Sign in", "/signin"),)
    ),
    "E-LOGIN": Entry("The email or password does not match.", "Check both."),
    "E-LOGIN-WAIT": Entry("Too many tries.", "You can try again in {retry_after} s."),
    "E-KEY": Entry(
        "The API key is not accepted.",
        "Send a key that is in use in the header X-API-Key.",
        "Nothing was changed.",
    ),
    "E-ROLE": Entry("Your role does not allow this.", "{who} may {what}. Ask one of them."),
    "E-404": Entry(
        "There is no page here.",
        "The address may be wrong or the thing was deleted for ever.",
        actions=(("Go to the start", "/"),),
    ),
    "E-GONE": Entry(
        "{what} was deleted.",
        "It was deleted on {at}. Bring it back from the list of workflows, “In the bin”.",
    ),
    "E-LINK-OLD": Entry(
        "This link was already used or is too old.",
        "Ask the keeper of this machine for a new one: deckhand setup-link",
        actions=(("Sign in", "/signin"),),
    ),
    "E-SETUP-CODE": Entry(
        "That set-up code does not match.",
        "The code stands in the terminal where Deckhand was started. "
        "Print a new one there: deckhand setup-link",
    ),
    # Workflows
    "E-CONFLICT": Entry(
        "This workflow changed while you were working.",
        "Your change was made for revision {rev}; it now has revision {now}. "
        "Load it again and repeat the change.",
        "Nothing was overwritten.",
    ),
    "E-STEP-GONE": Entry(
        "This step is no longer there.",
        "It was deleted meanwhile. Undo brings it back.",
        "Nothing was changed.",
    ),
    "E-STEP-CHANGED": Entry(
        "{what} changed while you were working.",
        "Somebody else saved it. Look at it as it is now, then repeat your change.",
        "Nothing was overwritten.",
    ),
    "E-UNDO": Entry("There is nothing to {what}.", "The draft is as it was first or last."),
    "E-PLAN": Entry("The plan cannot be read.", "{reason}", "Nothing was saved."),
    "E-PLAN-NEWER": Entry(
        "This plan is written for a newer Deckhand.",
        "It has format {found}; this one reads up to {known}.",
        "Nothing was saved.",
    ),
    "E-NEWER": Entry(
        "A newer Deckhand is being started.",
        "This was written by it, and this part still runs the version before. Try again in a "
        "minute.",
        "Nothing was changed.",
    ),
    "E-NOT-READY": Entry(
        "{count} left before this can go live.", "{first}", "The live version did not change."
    ),
    "E-NO-LIVE": Entry(
        "This workflow is not live yet.",
        "Put it live first, or run its draft.",
        "Nothing was started.",
    ),
    "E-NO-VERSION": Entry("There is no version {number}.", "Choose one from the list of versions."),
    # Runs
    "E-RUN-OVER": Entry("This run is already over.", "It ended as “{word}”."),
    "E-SIGNALS": Entry(
        "This run has got too many signals.",
        "A run keeps {most}. Send what belongs together as one.",
        "The signal was not kept.",
    ),
    "E-RUN-SINGLE": Entry(
        "This workflow is already running.",
        "It runs only once at a time, and {run} has not ended. Wait for it, or cancel it.",
        "Nothing was started.",
        retryable=True,
    ),
    "E-PAUSE": Entry("This cannot be paused or resumed now.", "{why}", "Nothing was changed."),
    "E-RUN-OPEN": Entry(
        "This run is not over yet.",
        "It can be run again when it has ended. Cancel it first, if it shall not go on.",
        "Nothing was started.",
    ),
    "E-RUN-RESTART": Entry(
        "A newer run of this workflow takes its place.",
        "A start of this workflow cancels its runs under way, so of its failed runs only the "
        "newest is run again.",
        "Nothing was started.",
    ),
    "E-REPLAY-NONE": Entry(
        "There is nothing to run again.",
        "These runs were run again meanwhile, or are older than the days that were asked for.",
        "Nothing was started.",
    ),
    "E-DECIDED": Entry("There is nothing to decide.", "{why}", "Nothing was changed."),
    # Approvals
    "E-APPROVAL-OTHERS": Entry(
        "Somebody else is asked.", "This is asked of {asked}.", "Nothing was decided."
    ),
    "E-APPROVAL-STARTER": Entry(
        "{who} may not answer it as well.", "This is asked of {asked}.", "Nothing was decided."
    ),
    "E-APPROVAL-CHANGED": Entry(
        "What is asked has changed while you were looking.",
        "Somebody edited it. Look at it as it is now, then answer.",
        "Nothing was decided.",
    ),
    "E-APPROVAL-GONE": Entry(
        "Nothing waits for this answer any more.",
        "The run has gone another way, or was cancelled.",
        "Nothing was decided.",
    ),
    "E-APPROVAL-LATE": Entry("The time to answer is over.", "{text}"),
    "E-APPROVAL-BLOCKED": Entry("What was asked has changed.", "{text}", "Nothing was sent."),
    "E-APPROVAL-LINK": Entry(
        "This link opens nothing any more.",
        "It is not whole, or you are no longer a member. What is asked of you stands in Approvals.",
        actions=(("Go to the start", "/"),),
    ),
    "E-REJECTED": Entry("It was rejected.", "{text}"),
    "E-CHANGES": Entry("Changes were asked for.", "{text}"),
    "E-QUEUE": Entry(
        "Too many runs are waiting.",
        "{waits} in line. Try again in {retry_after} s.",
        "Nothing was started.",
        retryable=True,
    ),
    "E-WORKER": Entry(
        "The machine working on this run stopped.",
        "We put it back in line; it goes on by itself.",
        "Nothing is sent twice.",
    ),
    "E-RUN-LOST": Entry(
        "{count} workers stopped one after the other while they worked on this run.",
        "Tell the keeper of this machine. Their logs may say why; often memory runs out.",
    ),
    "E-RUN-HUNG": Entry(
        "Nothing happened in the run for {limit}, so we stopped it.",
        "Look whether the other system answers, then run again.",
    ),
    "E-FILE": Entry("“{name}” cannot be read.", "{reason}"),
    "E-FILE-GONE": Entry("The file is no longer here.", "It was kept until {until}."),
    # Steps
    "E-TIME": Entry("The step took longer than {limit}, so we stopped it.", "Allow more time."),
    "E-VALUE-EMPTY": Entry("{what} was empty, so the step had nothing to work with."),
    "E-LIST-LIMIT": Entry(
        "The list has {count} items; this step takes {most}.",
        "Raise the limit or filter first.",
        "No item was started.",
    ),
    "E-VALUE-LARGE": Entry(
        "The values of the step grew too large or too deep.",
        "Filter the list or shorten the text.",
    ),
    "E-RUN-LARGE": Entry(
        "The run kept more values than one run may.",
        "Work on fewer items, or keep less of each.",
    ),
    "E-STEPS-LIMIT": Entry("The run reached its limit of {most} steps.", "Raise the limit."),
    "E-RUN-TIME": Entry("The run worked longer than {limit}, so we stopped it."),
    "E-STOPPED": Entry("A Stop step ended the run as failed.", "{message}"),
    "E-DOUBT": Entry(
        "It is not certain whether the step did its work.",
        "The machine stopped in the middle of it. Look at the other system, then decide.",
        "It was not repeated.",
    ),
    # What a step says for itself; `text` is the step's own sentence
    "E-HTTP-URL": Entry("The step has no address it can use.", "{text}"),
    "E-HTTP-HEADER": Entry("A header of the request cannot be sent.", "{text}"),
    "E-HTTP-BODY": Entry("The content of the request cannot be sent.", "{text}"),
    "E-HTTP-4XX": Entry("The other system refused the request.", "{text}"),
    "E-HTTP-5XX": Entry("The other system has a problem on its side.", "{text}", retryable=True),
    "E-HTTP-ANSWER": Entry("The answer of the other system cannot be read.", "{text}"),
    "E-HTTP-LARGE": Entry("The answer of the other system is too large.", "{text}"),
    "E-CONN-GONE": Entry("The connection does not exist.", "{text}"),
    "E-SECRET-GONE": Entry("The secret does not exist.", "{text}"),
    "E-ASKS": Entry("A condition cannot ask a model.", "{text}"),
    "E-TOOL-UNKNOWN": Entry("There is no such tool.", "{text}"),
    "E-TOOL-INPUT": Entry("The tool cannot work with what it was given.", "{text}"),
    "E-FILE-CSV": Entry("The CSV file cannot be read.", "{text}"),
    "E-LIST-TYPE": Entry("The step needs a list.", "{text}"),
    "E-LANES": Entry("Too few lanes have finished.", "{text}"),
    "E-REPEAT-LIMIT": Entry("The condition was never true.", "{text}"),
    "E-RUN-DEPTH": Entry("Too many workflows start each other.", "{text}"),
    "E-CHILD": Entry("The other workflow did not finish.", "{text}"),
    "E-CHILD-LATE": Entry("The step has ended that wanted it.", "{text}"),
    "E-PART": Entry("A part of the list did not finish.", "{text}"),
    "E-CHILD-INPUTS": Entry("The other workflow does not take these inputs.", "{text}"),
    "E-CHILD-GONE": Entry("The other workflow is not there.", "{text}"),
    "E-CHILD-START": Entry("The other workflow could not be started.", "{text}"),
    "E-SIGNAL-LATE": Entry("The signal did not come in time.", "{text}"),
    "E-TEXT-LONG": Entry("The text is too long.", "{text}"),
    "E-WAIT": Entry("The step cannot wait for this.", "{text}"),
    "E-AGENT-GONE": Entry("The agent does not exist.", "{text}"),
    "E-AGENT-CALLS": Entry("The agent used too many tool calls.", "{text}"),
    "E-ANSWER-FORMAT": Entry(
        "The agent's answer did not have the fields it should have.", "{text}", retryable=True
    ),
    "E-ANSWER-BLOCKED": Entry("The AI provider refused this text.", "{text}"),
    "E-ANSWER-LONG": Entry("The AI provider's answer is too long.", "{text}"),
    "E-TOO-LONG-IN": Entry("The text is too long for this model.", "{text}"),
    "E-PROVIDER-NONE": Entry("No AI provider is set up here.", "{text}"),
    "E-PROVIDER-KEY": Entry("The AI provider rejected the key.", "{text}"),
    "E-PROVIDER-CREDIT": Entry("Your AI account has no credit left.", "{text}"),
    "E-PROVIDER-BUSY": Entry("The AI provider is busy.", "{text}", retryable=True),
    "E-BREAKER": Entry("A service did not recover.", "{text}", retryable=True),
    "E-PROVIDER-DOWN": Entry("The AI provider does not answer.", "{text}", retryable=True),
    "E-PROVIDER-MODEL": Entry("The AI provider does not know this model.", "{text}"),
    "E-PROVIDER-REFUSED": Entry("The AI provider did not accept the question.", "{text}"),
    "E-COST-RUN": Entry("The cost limit is reached.", "{text}"),
    # Ours
    "E-BUSY": Entry(
        "The machine is busy.",
        "Try again in {retry_after} s.",
        "Nothing was changed.",
        retryable=True,
    ),
    "E-DATABASE": Entry(
        "The database does not answer.",
        "Try again in {retry_after} s. Runs go on by themselves once it is back.",
        "Nothing was changed.",
        retryable=True,
    ),
    "E-RATE": Entry("Too many requests.", "Try again in {retry_after} s.", retryable=True),
    "E-OURS": Entry(
        "Something went wrong on our side.",
        "Try again. If it stays, tell the keeper of this machine the code {ref}.",
        retryable=True,
    ),
}
