typedef int wm_stub_;
