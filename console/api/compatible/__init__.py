"""The addresses that pgEdge's own clients know: below /v1, /byoc/v1 and /account/v1, exactly as those expect them.

Beside /api/v1 (console.api.v1) in all that shows: errors, lists, statuses, and answers that are there at once. What is
done, and who may do it, is the same.
"""
