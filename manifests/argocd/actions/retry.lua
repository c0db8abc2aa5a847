obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["serin.dev/command"] = "retry"
obj.metadata.annotations["serin.dev/command-reason"] = "given in Argo CD"
return obj
