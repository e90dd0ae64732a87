"""The console: web pages on the states of one or several sites. It reads, and records requests.

It is a process of its own and may use `reading`, `state`, `settings` and `observe`; only `cli`
comes in. Nothing here calls a plugin, and all that it writes to a state is people's requests; the
key of its sessions and the token of its start are files beside them.

A page is one module in `pages`, listed in `pages/__init__`:

- a `Struct` for its query and one for its view, a function that reads the view, and a template of
  the same name in `templates`:

      class FailuresQuery(Query, kw_only=True):
          plugin: str = ""

      class FailuresView(View, kw_only=True):
          failures: list[ShownFailure]
          read_at: datetime

      def read_failures(visit: Visit, query: FailuresQuery) -> FailuresView: ...

      PAGES = (
          Page(path="failures", title="Failures", summary="List failures in groups.",
               template="failures.html", query_type=FailuresQuery, view_type=FailuresView,
               read=read_failures),
      )

- The page is then at `/sites/SITE/failures`, and the same view as JSON, described in the OpenAPI
  document, at `/api/v1/sites/SITE/failures`. `in_navigation=False` is for pages that others link
  to, such as one event; without a template, there is only the JSON, such as a chart's data
  (`ChartView` in `charting`). The function runs in a thread; it opens the state from
  `visit.site.state_folder` and closes it. Times are `utc_time(seconds)`. Raise `PageMissing` if
  there is no such record. Secrets are taken out of the view afterwards, for both forms.
- `shared_for=1.0` lets readers who ask for the same within that many seconds share one reading.
- The template extends `page.html`, fills `{% block content %}` and reads the view's fields from
  `view`. `parts.html` has macros for badges, times, long texts, actions and charts. Everything
  printed is escaped, made visible and shortened; scripts and styles go into `static`, never into
  the template. What stands in an element with `data-live="SECONDS"` is renewed that often.
- A change is an `Action` in `ACTIONS`: it takes a form `Struct`, returns the requests to make as
  `NewRequest` values, and is for operators only; names, forms, forgery and answers are dealt with.
- A route that is no page and has its own way of knowing who calls (a webhook) goes into `ROUTES`
  as `OpenRoute`.
"""
